"""Demands: of each task that a declaration may name, and only of those."""

from pathlib import Path

import pytest

from pipeline.data.facts import Facts
from pipeline.declaration.checks import check_values
from pipeline.declaration.composition import compose_sections
from pipeline.tasks.demands import Demands, check_score_names, load_demands, task_package
from tests.makers import data_section
from tests.refusals import refused

TASKS = {
    f"pipeline.tasks.{name}.task.{name.title()}"
    for name in (
        "classification",
        "detection",
        "landmarks",
        "localization",
        "multilabel",
        "restoration",
        "segmentation",
        "style",
        "verification",
    )
}


@pytest.mark.parametrize("target", [None, 3, "torch.nn.ReLU", "pipeline.tasks.task.Decoded"])
def test_what_is_no_task_is_refused_with_those_that_are(target: object) -> None:
    with refused("task._target_", got=target, allowed=TASKS):
        load_demands({"_target_": target})


def test_misspelt_task_is_refused_with_the_closest() -> None:
    got = "pipeline.tasks.segmentatoin.task.Segmentation"
    right = "pipeline.tasks.segmentation.task.Segmentation"
    allowed = ", ".join(sorted(TASKS))
    text = f"task._target_: unknown task '{got}'; did you mean '{right}'? allowed: {allowed}"
    with refused("task._target_", got=got, text=text):
        load_demands({"_target_": got})


def test_task_of_a_user_is_found_in_a_package_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mylab" / "counting"
    package.mkdir(parents=True)
    (package / "demands.py").write_text(
        "from pipeline.tasks.demands import Demands\nclass Own(Demands):\n    name = 'own'\nDEMANDS = Own()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert load_demands({"_target_": "mylab.counting.task.Counting"}).name == "own"


@pytest.mark.parametrize("place", ["__init__.py", "broken/__init__.py", "broken/demands.py"])
def test_task_that_cannot_be_imported_is_told_from_one_that_is_not_there(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "theirlab"
    (package / "broken").mkdir(parents=True)
    (package / "broken" / "demands.py").touch()
    (package / place).write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    with refused("task._target_", hint="install what it imports") as caught:
        load_demands({"_target_": "theirlab.broken.task.Broken"})
    reason = "(ModuleNotFoundError: No module named 'no_such_library')"
    assert caught.value.problem == f"theirlab.broken.demands cannot be imported {reason}"


@pytest.mark.parametrize(
    ("target", "package"),
    [
        ("a.b.task.C", "a.b"),
        ("a.task.b.task.C", "a.task.b"),
        ("a.b.C", None),
        ("task.C", None),
        ("a.task.C.D", None),
    ],
)
def test_package_of_a_task_is_what_stands_before_its_module(target: str, package: str | None) -> None:
    assert task_package(target) == package


class Lower(Demands):
    """Demands of a task whose score is better when lower."""

    score = "normalised_distance"
    mode = "min"


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("score", "minimize"),
        ("val/normalised_distance", "minimize"),
        ("val/loss", "minimize"),
        ("val/calibration_error", "minimize"),
        ("val/auroc", "maximize"),
    ],
)
def test_direction_of_a_metric_follows_the_mode_of_the_score_and_the_names_of_others(
    metric: str, direction: str
) -> None:
    assert Lower().direction(metric) == direction


def test_name_of_a_class_that_is_too_long_for_a_metric_is_refused() -> None:
    """A character that MLflow refuses takes four; test_tiny/pooled_dice__high has 27 characters."""
    demands = load_demands({"_target_": "pipeline.tasks.segmentation.task.Segmentation"})
    facts = Facts(**data_section("data.zip", classes=["+" * 55, "\uc22b\uc790", "a"]))
    check_score_names(demands, facts)
    facts = Facts(**data_section("data.zip", classes=["+" * 56, "\uc22b\uc790", "a"]))
    name = f"pooled_dice_{'+' * 56}"
    text = (
        f"data.classes: the score {name} of data tiny has 251 characters in MLflow, which takes 250; shorten "
        "data.name or the name of the class; other characters than letters, digits and '_.- ' count as four or more"
    )
    with refused("data.classes", text=text):
        check_score_names(demands, facts)


def test_masks_in_a_letterbox_without_a_label_to_ignore_are_refused_before_any_data_are_read() -> None:
    sections = compose_sections(
        ["data=brain", "task=segmentation", "model=unet_small", "data.resize=letterbox"]
    )
    with refused("data.ignore_label", got=None, hint="set data.ignore_label=255"):
        check_values(sections)
    check_values({**sections, "data": {**sections["data"], "ignore_label": 255}})
