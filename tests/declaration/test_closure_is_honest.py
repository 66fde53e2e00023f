"""What a training has loaded at its end is in its identity, or records, or is known to decide nothing.

The import closure is read from source. Modules that are found by name at run time, as tasks, sources and layers are,
must be named to it; one that is forgotten shows here.
"""

from pathlib import Path
from typing import Any

from tests.makers import data_section, write_class_folders, write_image_masks

ROOT = Path(__file__).parents[2]
# They find, check and order what the training needs: what they pass on is in the identity itself.
ORCHESTRATING = {
    "pipeline.declaration.checks",
    "pipeline.declaration.composition",
    "pipeline.declaration.keys",
    "pipeline.declaration.signatures",
    "pipeline.declaration.targets",
    "pipeline.training.inputs",
    "pipeline.training.run",
    "pipeline.training.tracked_run",
}
TRAIN = """
import sys
from pathlib import Path
from pipeline.declaration.declaration import load
from pipeline.runs.context import RunContext
from pipeline.training.run import RunRequest, train

train(load(Path("tiny.yaml")), RunRequest("hydra", "tiny", waits=True), RunContext(Path.cwd()))
print("loaded", *(name for name in sys.modules if name.split(".")[0] == "pipeline"))
"""
TRAINER = {
    "max_epochs": 1,
    "batch_size": 3,
    "keep": "best",
    "early_stopping": None,
    "gradient_clip": None,
    "accelerator": "cpu",
    "devices": 1,
    "strategy": "auto",
    "precision": "32-true",
    "channels_last": False,
    "deterministic": "warn",
    "num_workers": 0,
    "progress": False,
}
AFFINE = {"_target_": "pipeline.transforms.steps.affine.Affine", "rotate": [-10.0, 10.0], "p": 1.0}
MIXUP = {"_target_": "pipeline.transforms.mixing.Mixup", "alpha": 0.2}
SEGMENTATION = {"_target_": "pipeline.tasks.segmentation.task.Segmentation", "dice_weight": 0.5}
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
