"""Pages: templates that refuse a name without a value and escape what they are given."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from pipeline.pages import chapters, render
from pipeline.pages.figures import TITLES
from pipeline.tasks.demands import load_demands
from tests.makers import data_section, declaration


@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(render, "__file__", str(tmp_path / "render.py"))
    return tmp_path


def test_value_that_is_missing_is_an_error(templates: Path) -> None:
    (templates / "page.html.j2").write_text("{{ name }} {{ missing }}")
    with pytest.raises(UndefinedError, match="'missing' is undefined"):
        render.render("page.html.j2", name="a")


def test_text_is_escaped_in_html_and_not_in_markdown(templates: Path) -> None:
    for kind in ("html", "md"):
        (templates / f"page.{kind}.j2").write_text("{{ name }}\n")
    assert render.render("page.html.j2", name="a < b & c") == "a &lt; b &amp; c\n"
    assert render.render("page.md.j2", name="a < b & c") == "a < b & c\n"


@pytest.mark.parametrize(
    ("value", "cell"),
    [("plain", "plain"), (3, "3"), ("a|b", r"a\|b"), ("two\nlines", "two lines"), ("<b>&", "&lt;b>&amp;")],
)
def test_cell_of_a_table_stays_one_cell(value: object, cell: str, templates: Path) -> None:
    (templates / "page.md.j2").write_text("| {{ value | cell }} |")
    assert render.render("page.md.j2", value=value) == f"| {cell} |"


@pytest.mark.parametrize(
    ("task", "key", "name"),
    [
        ("classification", "accuracy", "accuracy"),
        ("classification", "balanced_accuracy", "balanced accuracy"),
        ("classification", "macro_f1", "macro F1"),
        ("classification", "auroc", "AUROC"),
        ("classification", "calibration_error", "calibration error"),
        ("segmentation", "dice", "Dice"),
        ("segmentation", "dice_left_lung", "Dice, left_lung"),
        ("segmentation", "iou_iou", "IoU, iou"),
    ],
)
def test_score_is_named_as_the_field_does(task: str, key: str, name: str) -> None:
    data = data_section("nowhere", classes=["left_lung", "iou"])
    target = f"pipeline.tasks.{task}.task.{task.title()}"
    titles = load_demands({"_target_": target}).scores(declaration(data).data)
    assert titles[key] == name


DRAWING = (
    "tasks/classification/cases",
    "tasks/detection/task",
    "tasks/multilabel/cases",
    "tasks/segmentation/cases",
    "tasks/verification/cases",
    "training/finishing",
    "training/inputs",
    "training/previews",
    "trials/results",
)


def test_every_picture_that_is_drawn_has_a_title() -> None:
    code = Path(chapters.__file__).parents[1]
    drawn = "".join((code / f"{stage}.py").read_text(encoding="utf-8") for stage in DRAWING)
    for name in TITLES:
        assert f'"{name}.png"' in drawn or f'"{name}":' in drawn, f"nobody draws {name}"
