"""Keys depend on the code and the libraries that make a result, and on no others."""

import ast
import sys
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration import digests, keys
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import (
    copies_key,
    fingerprint,
    identity,
    prepared_key,
    stage_digests,
    statistics_key,
)

MIRROR = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}
AFFINE = {"_target_": "pipeline.transforms.steps.affine.Affine", "rotate": [-10.0, 10.0], "p": 1.0}
PAD_CROP = {
    "_target_": "pipeline.transforms.steps.pad_crop.PadCrop",
    "rows": 8,
    "columns": 8,
    "padding": 0.25,
}


def steps(*nodes: dict[str, Any], copies: int | None = None) -> dict[str, Any]:
    return {"steps": list(nodes), "mixing": None, "copies": copies}


# Which code decides.


STEP = "pipeline.transforms.steps.pad_crop"
# The module whose code changes, and what changes for a classification that mirrors.
HAS_A_SAY: list[tuple[str, set[str]]] = [
    ("pipeline.training.learner", {"code"}),
    ("pipeline.training.fit", {"code"}),
    ("pipeline.networks.build", {"code"}),
    ("pipeline.transforms.preprocess", {"code"}),
    ("pipeline.tasks.classification.task", {"code"}),
    ("pipeline.tasks.classification.demands", {"code"}),
    ("pipeline.data.sources.class_folders", {"code", "data"}),
    ("pipeline.data.targets.label", {"code", "data"}),
    ("pipeline.data.images", {"code", "data"}),
    ("pipeline.data.prepared", {"code", "data"}),
    ("pipeline.transforms.statistics", {"code", "data"}),
    ("pipeline.training.measurement", {"data"}),  # which split the statistics are of
    ("pipeline.training.arithmetic", {"code"}),
    ("pipeline.declaration.hardware", {"code"}),
    ("pipeline.layers.norms", set()),
    ("pipeline.tasks.segmentation.task", set()),
    ("pipeline.tasks.segmentation.demands", set()),
    ("pipeline.tasks.classification.cases", set()),
    ("pipeline.data.sources.image_masks", set()),
    ("pipeline.data.targets.mask", set()),
    (STEP, set()),
    ("pipeline.errors", set()),
    ("pipeline.files", set()),
    ("pipeline.runs.folder", set()),
    ("pipeline.tracking.run", set()),
    ("pipeline.pictures.curves", set()),
    ("pipeline.sweeps.samplers", set()),
    ("pipeline.trials.search", set()),
    ("pipeline.evaluate", set()),
]


@pytest.mark.parametrize(("module", "changed"), HAS_A_SAY)
def test_modules_that_a_declaration_uses_have_a_say_and_no_others(
    module: str, changed: set[str], tiny: Declaration, tmp_path: Path, says: Any
) -> None:
    before = identity(tiny, root=tmp_path)
    says(module)
    after = identity(tiny, root=tmp_path)
    assert {key for key in after if after[key] != before[key]} == changed


def test_task_source_and_target_of_a_segmentation_are_in_its_identity_alone(
    masked: Declaration, tmp_path: Path, says: Any
) -> None:
    before = identity(masked, root=tmp_path)
    says(
        "pipeline.tasks.segmentation.task", "pipeline.data.sources.image_masks", "pipeline.data.targets.mask"
    )
    changed = identity(masked, root=tmp_path)
    assert {key for key in changed if changed[key] != before[key]} == {"code", "data"}
    says(
        "pipeline.tasks.classification.task",
        "pipeline.data.sources.class_folders",
        "pipeline.data.targets.label",
    )
    assert identity(masked, root=tmp_path) == before


@pytest.mark.parametrize(
    "named",
    [
        {"augmentation": steps(PAD_CROP, copies=2)},
        {
            "augmentation": steps(
                {"_target_": "albumentations.OneOf", "transforms": [MIRROR, PAD_CROP]}, copies=2
            )
        },
    ],
    ids=["step", "step in a step"],
)
def test_step_has_a_say_only_where_the_declaration_names_it(
    named: dict[str, Any], tiny: Declaration, tmp_path: Path, says: Any
) -> None:
    cropping = tiny.replace(**named)
    before = [
        (fingerprint(each, root=tmp_path), copies_key(each, root=tmp_path)) for each in (tiny, cropping)
    ]
    says(STEP)
    after = [(fingerprint(each, root=tmp_path), copies_key(each, root=tmp_path)) for each in (tiny, cropping)]
    assert after[0] == before[0]
    assert after[1][0] != before[1][0]
    assert after[1][1] != before[1][1]


def test_layer_has_a_say_only_where_the_network_has_it(tiny: Declaration, tmp_path: Path, says: Any) -> None:
    normed = tiny.replace(model={**tiny.model, "layers": [{"conv": 2, "norm": {"layer": "channels"}}]})
    before = [fingerprint(each, root=tmp_path) for each in (tiny, normed)]
    says("pipeline.layers.norms")
    after = [fingerprint(each, root=tmp_path) for each in (tiny, normed)]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False]


def test_each_key_depends_on_the_code_that_makes_its_result(
    tiny: Declaration, tmp_path: Path, says: Any
) -> None:
    made = {"prepared": prepared_key, "statistics": statistics_key, "copies": copies_key}

    def changed_by(module: str) -> set[str]:
        says()
        before = {name: key(tiny, root=tmp_path) for name, key in made.items()}
        says(module)
        return {name for name, key in made.items() if key(tiny, root=tmp_path) != before[name]}

    assert changed_by("pipeline.data.images") == {"prepared", "statistics", "copies"}
    assert changed_by("pipeline.transforms.statistics") == {"statistics", "copies"}
    assert changed_by("pipeline.transforms.augmentation") == {"copies"}
    assert changed_by("pipeline.data.draws") == {"copies"}
    assert changed_by("pipeline.training.learner") == set()


# The module whose code changes, and the stages of a classification that run again.
STAGES: list[tuple[str, set[str]]] = [
    ("pipeline.data.images", {"prepare", "statistics", "augment", "search", "train", "evaluate"}),
    ("pipeline.training.measurement", {"statistics", "search", "evaluate"}),
    ("pipeline.training.copies", {"augment", "search", "evaluate"}),
    ("pipeline.data.sources.class_folders", {"prepare", "search", "train", "evaluate"}),
    ("pipeline.data.sources.image_masks", set()),
    ("pipeline.pictures.statistics", {"statistics", "search", "evaluate"}),
    ("pipeline.training.learner", {"search", "train", "evaluate"}),
    ("pipeline.tasks.classification.cases", {"evaluate"}),
    ("pipeline.tasks.segmentation.cases", set()),
    ("pipeline.training.evaluation", {"evaluate"}),
    ("pipeline.trials.runner", {"search"}),
    ("pipeline.sweeps.samplers", {"search"}),
    ("pipeline.tracking.run", set()),
    ("pipeline.errors", set()),
]


@pytest.mark.parametrize(("module", "stages"), STAGES)
def test_stages_run_again_where_their_code_changes(
    module: str, stages: set[str], tiny: Declaration, tmp_path: Path, says: Any
) -> None:
    before = stage_digests(tiny, root=tmp_path)
    says(module)
    after = stage_digests(tiny, root=tmp_path)
    assert before.keys() == {"prepare", "statistics", "augment", "search", "train", "evaluate"}
    assert {stage for stage in after if after[stage] != before[stage]} == stages


# Which libraries decide.


def public(name: str) -> str:
    """Return the version of a package without the label of its build, as in 2.13.0+cpu."""
    return version(name).split("+")[0]


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that lets a library have another version from now on."""

    def upgrade(library: str) -> None:
        monkeypatch.setattr(keys, "version", lambda name: "0" if name == library else version(name))
        keys._version.cache_clear()

    yield upgrade
    monkeypatch.undo()
    keys._version.cache_clear()


def test_versions_of_the_libraries_that_a_training_imports_are_in_its_identity(
    tiny: Declaration, tmp_path: Path
) -> None:
    named = {"torch", "pytorch-lightning", "numpy", "pillow", "albumentations", "scikit-learn"}
    named.add("opencv-python-headless")  # albumentations computes with it
    versions = identity(tiny, root=tmp_path)["versions"]
    assert named <= versions.keys()
    assert versions == {name: public(name) for name in versions}
    assert {
        "mlflow",
        "matplotlib",
        "optuna",
        "hydra-core",
        "plotly",
        "dvc",
        "jinja2",
    } & versions.keys() == set()


LIBRARIES = [
    ("torch", {"versions"}),
    ("pytorch-lightning", {"versions"}),
    ("albumentations", {"versions"}),
    ("numpy", {"versions", "data"}),
    ("pillow", {"versions", "data"}),
    ("scikit-learn", {"versions", "data"}),
    ("opencv-python-headless", {"versions"}),
    ("mlflow", set()),
    ("matplotlib", set()),
    ("optuna", set()),
]


@pytest.mark.parametrize(("library", "changed"), LIBRARIES)
def test_version_of_a_library_decides_where_it_is_used(
    library: str, changed: set[str], tiny: Declaration, tmp_path: Path, upgraded: Any
) -> None:
    before = identity(tiny, root=tmp_path)
    upgraded(library)
    after = identity(tiny, root=tmp_path)
    assert {key for key in after if after[key] != before[key]} == changed


def test_build_of_a_wheel_does_not_decide(
    tiny: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for build in ("cpu", "cu130"):
        monkeypatch.setattr(keys, "version", lambda name, build=build: f"2.13.0+{build}")
        keys._version.cache_clear()
        found.append(fingerprint(tiny, root=tmp_path))
    keys._version.cache_clear()
    assert found[0] == found[1]


# Names of libraries.


def third_party() -> set[str]:
    """Return the top-level names of all other packages that the pipeline imports anywhere."""
    files = list(digests.PACKAGE.rglob("*.py"))
    names = {
        name.split(".")[0] for file in files for name in digests._imported(ast.parse(file.read_text("utf-8")))
    }
    return names - sys.stdlib_module_names - {"pipeline"}


def test_every_library_that_the_pipeline_imports_has_a_version_under_the_name_it_is_installed_by() -> None:
    homes, found = packages_distributions(), third_party()
    assert {"torch", "numpy", "PIL", "cv2", "yaml", "hydra"} <= found
    for library in found & homes.keys():
        name = keys.DISTRIBUTIONS.get(library, library)
        assert name in {home.lower() for home in homes[library]}, library
        assert keys._versions([library])[name] == public(name)


def test_library_that_is_not_installed_has_no_version() -> None:
    assert keys._versions(["no_such_library"]) == {}
