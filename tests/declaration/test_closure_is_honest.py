"""What a training has loaded at its end is in its identity, or records, or is known to decide nothing.

The import closure is read from source. Modules that are found by name at run time, as tasks, sources and layers are,
must be named to it; one that is forgotten shows here.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration.checks import check
from pipeline.declaration.composition import compose_sections
from pipeline.declaration.digests import import_closure
from pipeline.declaration.keys import RECORDING, SWEEPING, _train_modules
from pipeline.declaration.loading import load
from tests.makers import data_section, write_class_folders, write_declaration, write_image_masks
from tests.tasks.style_files import write_style

ROOT = Path(__file__).parents[2]
# They find and order what the training needs, or tell of it; the statistics and copies that they make are in the
# identity by key, and so is a table of labels outside the archive.
ORCHESTRATING = {
    "pipeline.data.class_names",
    "pipeline.data.table_files",
    "pipeline.data.tables",
    "pipeline.declaration.checks",
    "pipeline.declaration.files_read",
    "pipeline.declaration.grants",
    "pipeline.declaration.keys",
    "pipeline.declaration.loading",
    "pipeline.declaration.ranges",
    "pipeline.declaration.targets",
    "pipeline.plans.explain",
    "pipeline.plans.table",
    "pipeline.plans.windows",
    "pipeline.training.earlier_runs",
    "pipeline.training.inputs",
    "pipeline.training.measurement",
    "pipeline.training.run",
    "pipeline.training.tracked_run",
    "pipeline.transfer.settings",
}
TRAIN = """
import sys
from pathlib import Path
from pipeline.declaration.loading import load
from pipeline.runs.context import RunContext
from pipeline.training.run import RunRequest, train

train(load(Path("tiny.yaml")), RunRequest("hydra", "tiny", waits=True), RunContext(Path.cwd()))
print("loaded", *(name for name in sys.modules if name.split(".")[0] == "pipeline"))
"""
TRAINER = {
    "max_epochs": 1,
    "batch_size": 3,
    "sampler": "shuffle",
    "select": None,
    "keep": "best",
    "early_stopping": None,
    "gradient_clip": None,
    "average": None,
    "on_divergence": "stop",
    "norm_momentum": None,
    "accelerator": "cpu",
    "devices": 1,
    "strategy": "auto",
    "precision": "32-true",
    "threads": 1,
    "channels_last": False,
    "deterministic": "warn",
    "num_workers": 0,
    "progress": False,
}
AFFINE = {"_target_": "pipeline.transforms.steps.affine.Affine", "rotate": [-10.0, 10.0], "p": 1.0}
MIXUP = {"_target_": "pipeline.transforms.mixing.Mixup", "alpha": 0.2}
SEGMENTATION = {
    "_target_": "pipeline.tasks.segmentation.task.Segmentation",
    "dice_weight": 0.5,
    "dice_background": True,
    "class_weights": "none",
}
NORM = {"layer": "channels"}


def classification(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    write_class_folders(folder / "data.zip")
    residual = {"residual": [{"conv": 4, "norm": NORM}, {"drop_path": 0.1}]}
    return {
        "data": data_section("data.zip"),
        "model": model | {"layers": [{"conv": 4}, residual], "head": ["flatten", {"linear": "outputs"}]},
        "augmentation": {"steps": [AFFINE], "mixing": MIXUP, "copies": 2},
    }


def segmentation(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    write_image_masks(folder / "data.zip")
    skip = {"skip": ["pool", {"conv": 4}, {"up": 2}]}
    return {
        "data": data_section("data.zip", format="image_masks"),
        "model": model | {"layers": [{"conv": 4}, skip], "head": [{"conv": "outputs"}]},
        "task": SEGMENTATION,
    }


def style_transfer(folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    """Return sections of a task that builds a network of its own, with a layer that no other one has."""
    write_class_folders(folder / "data.zip")
    task = compose_sections(["task=style"])["task"] | write_style(folder, "scale")
    return {
        "data": data_section("data.zip", format="images", classes=[]),
        "model": model | {"layers": [{"residual": [{"conv": 1}]}], "head": []},
        "task": task,
    }


def loaded_by_training(folder: Path) -> set[str]:
    """Train the declaration of a folder in a process of its own; return the modules of the pipeline it has loaded."""
    done = subprocess.run(
        [sys.executable, "-c", TRAIN],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("loaded ")]
    return set(line.split()[1:])


def is_below(module: str, packages: Sequence[str]) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for package in packages)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [classification, segmentation, style_transfer])
def test_every_module_that_a_training_loads_is_in_its_identity_or_known_to_decide_nothing(
    kind: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    model = compose_sections([])["model"] | {"name": "tiny"}
    path = write_declaration(tmp_path / "tiny.yaml", trainer=TRAINER, **kind(tmp_path, model))
    declaration = check(load(path).sections)
    loaded = loaded_by_training(tmp_path)
    (run,) = (tmp_path / "runs").glob("*/metrics.json")
    assert run.is_file(), "it was trained to its end"
    left_out = (*RECORDING, *SWEEPING)
    decide = import_closure(_train_modules(declaration), without=left_out, root=tmp_path).digests.keys()
    assert {
        "pipeline.training.fit",
        "pipeline.training.learner",
        "pipeline.layers.containers",
    } <= loaded & decide
    surveyed = {"pipeline.data.masks"} - decide  # by the page of the data
    forgotten = {module for module in loaded - decide if not is_below(module, left_out)}
    copying = {"pipeline.training.copies"} if declaration.augmentation.copies else set()
    assert forgotten == ORCHESTRATING | copying | surveyed, (
        "forgotten by the keys, or listed above although the training does without"
    )
