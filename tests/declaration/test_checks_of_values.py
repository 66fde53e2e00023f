"""Mistakes in the values of a declaration, as the check of compose finds them."""

from copy import deepcopy
from functools import cache
from math import inf
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration.checks import check
from pipeline.declaration.composition import compose, compose_sections
from pipeline.declaration.declaration import SECTIONS, Declaration
from pipeline.declaration.settings import MOST_PROCESSES
from pipeline.errors import UNSET
from pipeline.storage.names import NAME
from pipeline.tasks.classification.demands import DEMANDS
from tests.refusals import refused

ROOT = Path(__file__).parents[2]
ALLOWED_SHAPE = "[channels, rows, columns] with 1 or 3 channels"
SPLIT = "folders, random, {val: 0.15, test: 0.15, seed: 0} or, for no test split, {val: 0.15, seed: 0}"
SEEN = "[1, rows, columns] of what the network sees"
TRAINER = "pipeline.declaration.settings.TrainerSettings"
TASKS = tuple(
    f"pipeline.tasks.{path.parent.name}.task.{path.parent.name.title()}"
    for path in sorted((ROOT / "pipeline" / "tasks").glob("*/demands.py"))
)
CLASS = {"hint": "name the class to build"}
STEP = {"hint": "name a transform, such as _target_: albumentations.HorizontalFlip"}

# What is changed in the default declaration, where it is refused if elsewhere, and the fields of the refusal; its
# whole wording where no test of a part pins it.
VALUES: list[tuple[str, Any, str, dict[str, Any]]] = [
    ("seed", -1, "", {"allowed": "a whole number from 0 to 4294967295",
                      "text": "seed must be a whole number from 0 to 4294967295, got -1"}),
    ("seed", True, "", {"text": "seed must be a whole number from 0 to 4294967295, got True"}),
    ("seed", 2**32, "", {"allowed": "a whole number from 0 to 4294967295"}),
    ("name", None, "", {"allowed": NAME}),
    ("name", "", "", {"allowed": NAME}),
    ("name", "../../other", "", {"allowed": NAME}),
    ("data.name", "../../other", "", {"allowed": NAME}),
    ("search.name", "../../other", "", {"allowed": NAME}),
    ("tracking.experiment", "a/../../other", "tracking.experiment", {"allowed": NAME}),
    ("allowed_targets", "mylab.", "",
     {"text": "allowed_targets must be a list of prefixes such as [mylab.], got 'mylab.'"}),
    ("allowed_targets", [""], "", {"allowed": "a list of prefixes such as [mylab.]"}),
    ("from", 3, "", {"text": "from must be the name of an earlier search, or null, got 3"}),
    ("plan", "yes", "", {"text": "plan must be true or false, got 'yes'"}),
    ("optimizer", None, "", {"text": "optimizer must be a mapping of keys, got None"}),
    ("optimizer", ..., "", {"text": "optimizer: the section is missing; conf/config.yaml composes it"}),
    ("colours", 3, "", {"got": "colours", "allowed": SECTIONS,
                        "text": f"colours: unknown section 'colours'; allowed: {', '.join(sorted(SECTIONS))}"}),
    ("preprocess", {}, "preprocess._target_",
     {"got": UNSET, "text": "preprocess._target_: is missing; name the class to build"}),
    ("task", {}, "task._target_", {"got": UNSET, **CLASS}),
    ("scheduler", {}, "scheduler._target_", {"got": UNSET, **CLASS}),
    ("augmentation.steps", 3, "", {"allowed": "list[Any]", "hint": "this is int; YAML writes"}),
    ("augmentation.steps", [{"p": 1}], "augmentation.steps[0]",
     {"got": {"p": 1}, "text": "augmentation.steps[0]: needs a _target_, got {'p': 1}; name a transform, such as "
                               "_target_: albumentations.HorizontalFlip"}),
    ("augmentation.steps", ["flip"], "augmentation.steps[0]", {"got": "flip", **STEP}),
    ("augmentation.steps", [{"_target_": "os.system"}], "augmentation.steps[0]._target_",
     {"got": "os.system", "hint": "allowed are names below albumentations., "}),
    ("optimizer._target_", "torch.load", "", {"hint": "allowed are names below torch.optim. and what "}),
    ("optimizer.lr", "fast", "", {"allowed": "float | Tensor", "hint": "this is str; YAML writes"}),
    ("optimizer.params", [], "", {"got": "params", "hint": "allowed: dampening, differentiable, foreach, "}),
    ("scheduler.T_max", ..., "", {"hint": "torch.optim.lr_scheduler.CosineAnnealingLR needs it"}),
    ("task._target_", "torch.nn.ReLU", "", {"hint": "allowed are names below pipeline.tasks. and what "}),
    ("task", {"_target_": "pipeline.tasks.task.Task"}, "task._target_",
     {"got": "pipeline.tasks.task.Task", "allowed": TASKS,
      "text": "task._target_: unknown task 'pipeline.tasks.task.Task'; did you mean "
              f"'pipeline.tasks.style.task.Style'? allowed: {', '.join(TASKS)}"}),
    # Trainer.
    ("trainer.max_epochs", 0, "", {"allowed": "at least 1"}),
    ("trainer.max_epochs", 2.5, "", {"allowed": "int", "hint": "this is float; YAML writes"}),
    ("trainer.max_epochs", ..., "", {"hint": f"{TRAINER} needs it"}),
    ("trainer.batch_size", 0, "", {"allowed": "at least 1"}),
    ("trainer.num_workers", -1, "", {"allowed": f"from 0 to {MOST_PROCESSES} or auto"}),
    ("trainer.num_workers", MOST_PROCESSES + 1, "", {"allowed": f"from 0 to {MOST_PROCESSES} or auto"}),
    ("task.label_smoothing", 2.0, "", {"allowed": "at least 0 and below 1"}),
    ("task.label_smoothing", -0.1, "", {"allowed": "at least 0 and below 1"}),
    ("optimizer.lr", -1.0, "", {"allowed": "at least 0", "text": "optimizer.lr must be at least 0, got -1.0"}),
    ("optimizer.lr", inf, "", {"allowed": "a finite number",
                               "text": "optimizer.lr must be a finite number, got inf"}),
    ("scheduler.T_max", 0, "", {"allowed": "a whole number of at least 1",
                                "text": "scheduler.T_max must be a whole number of at least 1, got 0"}),
    ("data.split", {"val": 0.1, "test": 0.1, "seed": 0.5}, "data.split.seed",
     {"got": 0.5, "allowed": "a whole number of at least 0"}),
    ("data.split", {"val": -0.1, "test": 0.1, "seed": 0}, "",
     {"allowed": "shares above 0 for val and test that sum to less than 1"}),
    ("preprocess", {"_target_": "pipeline.transforms.preprocess.Scaled", "scale": 0.0}, "preprocess.scale",
     {"got": 0.0, "allowed": "above 0"}),
    ("preprocess", {"_target_": "pipeline.transforms.preprocess.ZcaWhiten", "patch": 8, "epsilon": 0.0},
     "preprocess.epsilon", {"got": 0.0, "allowed": "above 0"}),
    ("augmentation.mixing", {"_target_": "pipeline.transforms.mixing.Mixup", "alpha": -1.0},
     "augmentation.mixing.alpha", {"got": -1.0, "allowed": "above 0"}),
    ("augmentation.steps", [{"_target_": "albumentations.RandomCrop", "height": 0, "width": 8}],
     "augmentation.steps[0].height", {"got": 0, "allowed": "a whole number of at least 1"}),
    ("trainer.keep", "first", "", {"allowed": "best or last"}),
    ("trainer.gradient_clip", 0.0, "", {"allowed": "above 0 or null"}),
    ("trainer.early_stopping", {"patience": 3}, "", {"allowed": "null or {patience: 10, min_delta: 0.0}"}),
    ("trainer.early_stopping", {"patience": "3"}, "", {"allowed": "dict[str, float] | None"}),
    ("trainer.deterministic", "yes", "", {"allowed": "true, false or warn"}),
    ("tracking.log_model", "yes", "", {"allowed": "bool", "hint": "this is str; YAML writes"}),
    # Data.
    ("data.root", "", "", {"allowed": "the path of a folder or a zip file"}),
    ("data.name", "", "", {"allowed": NAME}),
    ("data.digest", "md5:0123", "",
     {"text": "data.digest must be null or sha256: with 64 hexadecimal digits, got 'md5:0123'"}),
    ("data.groups", "", "", {"text": "data.groups must be null or an expression that is not empty, as it matches "
                                     "everything, got ''"}),
    # Networks.
    ("model.name", -1, "", {"allowed": "text that is not empty"}),
    ("model.padding", "full", "",
     {"text": "model.padding must be same, valid or pixels, such as 1 or [1, 2], got 'full'"}),
    ("model.padding", -1, "", {"allowed": "same, valid or pixels, such as 1 or [1, 2]"}),
    ("model.padding", [1, 2.5], "", {"allowed": "same, valid or pixels, such as 1 or [1, 2]"}),
    ("data", [], "", {"allowed": "a mapping of keys"}),
    ("data.shape", [1, 32], "", {"allowed": ALLOWED_SHAPE}),
    ("data.shape", [2, 32, 32], "", {"allowed": ALLOWED_SHAPE}),
    ("data.shape", [1, 0, 32], "", {"allowed": ALLOWED_SHAPE}),
    ("data.classes", ["a"], "",
     {"text": "data.classes must be at least two different names, got ['a']"}),
    ("data.classes", ["a", "a"], "", {"allowed": "different names"}),
    ("data.classes", [0, 1], "", {"hint": 'write ["0", "1"]'}),
    ("data.classes", [True, False], "",
     {"text": "data.classes must be names in quotes, as YAML reads yes and no as booleans and digits as numbers, "
              'got [True, False]; write ["yes", "no"]'}),
    ("data.classes", "cat", "", {"allowed": "list[str]"}),
    ("data.background", "dog", "", {"got": "dog", "hint": "allowed: 0, 1, 2"}),
    ("data.background", 3, "", {"got": 3, "hint": 'write data.background="3"'}),
    ("data.ignore_label", 9, "", {"allowed": "null or a value from 10 to 255, beyond the class indices"}),
    ("data.format", "class_folder", "",
     {"allowed": ("class_folders", "class_masks", "coco", "csv_boxes", "csv_identities", "csv_labels", "csv_pixels",
                  "csv_points", "identity_folders", "image_masks", "images", "one_image", "voc", "yolo"),
      "hint": "did you mean 'class_folders'? "}),
    ("data.split", "half", "", {"allowed": SPLIT}),
    ("data.split", {"val": 0.5}, "", {"allowed": SPLIT}),
    ("data.split", {"val": 0.5, "test": 0.5, "seed": 0}, "",
     {"allowed": "shares above 0 for val and test that sum to less than 1",
      "hint": "leave the rest for training, and test out"}),
    ("data.split", {"val": "a", "test": 0.5, "seed": 0}, "",
     {"allowed": "str | dict[str, float | None]"}),
    # What belongs to a search, where nothing is searched.
    ("plan", True, "", {"text": "plan: belongs to a search, got True; add search=coarse, or leave the setting out"}),
    ("from", "small", "", {"hint": "add search=coarse, or leave the setting out"}),
    ("search.trial", 0, "", {"hint": "add search=coarse, or leave the setting out"}),
    # What does not fit what.
    ("input_shape", [3, 32, 32], "",
     {"allowed": SEEN, "text": "input_shape must be [1, rows, columns] of what the network sees, got [3, 32, 32]"}),
    ("input_shape", [1, 32], "", {"allowed": SEEN}),
    ("input_shape", [1, 0, 32], "", {"allowed": SEEN}),
    ("input_shape", "32x32", "",
     {"text": "input_shape must be [channels, rows, columns] of what the network sees, got '32x32'"}),
    ("input_shape", [1, 64, 32], "",
     {"got": UNSET, "text": "input_shape: [1, 64, 32] is larger than data.shape [1, 32, 32]; crops are taken from "
                            "images, so make data.shape larger or input_shape smaller"}),
    ("augmentation.mixing", {"alpha": 1.0}, "", STEP),
    ("augmentation.steps", [{"_target_": "albumentations.OneOf", "transforms": ["flip"]}],
     "augmentation.steps[0].transforms[0]", {"got": "flip", **STEP}),
    ("augmentation.steps", [{"_target_": "albumentations.OneOf", "transforms": None}],
     "augmentation.steps[0].transforms",
     {"got": None, "text": "augmentation.steps[0].transforms must be a list of steps, got None"}),
    ("augmentation.steps", [{"_target_": "albumentations.HorizontalFlp"}], "augmentation.steps[0]._target_",
     {"got": "albumentations.HorizontalFlp", "hint": "did you mean 'HorizontalFlip'? correct the name"}),
    ("augmentation.copies", 2, "", {"allowed": "null where augmentation.steps is empty"}),
    ("preprocess", {"_target_": "pipeline.transforms.preprocess.PcaWhiten", "patch": 5, "epsilon": 0.1},
     "preprocess.patch", {"got": 5, "allowed": "a divisor of the rows and columns of images of 1 x 32 x 32"}),
    ("views.crops", "five", "", {"allowed": "centre or corners"}),
    ("views", {"crops": "centre"}, "views.mirror",
     {"got": UNSET, "hint": "pipeline.transforms.settings.ViewSettings needs it"}),
    ("input_shape", [1, 8, 8], "model.layers[2]",
     {"got": (5, 5), "hint": "use a larger image (data.shape), fewer strides and pools before it, or a smaller "}),
    ("data.format", "image_masks", "task",
     {"got": TASKS[0], "text": "task: classification needs targets of the kind label, data digits (format image_masks) "
                               f"has those of the kind mask, got '{TASKS[0]}'; choose another task= or data="}),
    ("task._target_", "pipeline.tasks.segmentation.task.Segmentation", "task.label_smoothing",
     {"got": "label_smoothing", "allowed": ("dice_weight", "dice_background", "class_weights")}),
    ("model.head", ["flatten", {"linear": 3}], "model.head[0]", {"got": (84,), "allowed": "a map (C, H, W)"}),
    ("model.head", [{"linear": 3}], "model",
     {"got": UNSET, "text": "model: lenet5 puts out (3,) for an image of (1, 32, 32), the task needs (10,); choose a "
                            "network for this task, or end its head accordingly"}),
    ("model.layers", [{"conv2": 3}], "model.layers[0]", {"got": "conv2", "hint": "did you mean 'conv'? "}),
]  # fmt: skip


@cache
def defaults() -> dict[str, Any]:
    return compose_sections([])


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the default declaration with one value changed, e.g. at `data.shape`; `...` removes it."""
    config = deepcopy(defaults())
    *parents, name = path.split(".")
    section = config
    for parent in parents:
        section = section[parent]
    section[name] = value
    if value is ...:
        del section[name]
    return config


@pytest.mark.parametrize(("path", "value", "where", "fields"), VALUES, ids=lambda value: str(value)[:30])
def test_mistake_in_a_value_is_told_with_its_path_and_the_way_out(
    path: str, value: Any, where: str, fields: dict[str, Any]
) -> None:
    expected = fields if where or value is ... else {"got": value, **fields}
    with refused(where or path, **expected) as caught:
        check(changed(path, value))
    assert "\n" not in str(caught.value)


def test_mixing_is_refused_for_a_task_whose_targets_cannot_be_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    compose(["augmentation=mixup"])
    monkeypatch.setattr(DEMANDS, "mixes", False)
    text = (
        "augmentation.mixing must be null for classification, whose targets cannot be mixed, "
        "got 'pipeline.transforms.mixing.Mixup'"
    )
    with refused("augmentation.mixing", got="pipeline.transforms.mixing.Mixup", text=text):
        compose(["augmentation=mixup"])


def test_declaration_without_a_mistake_passes_the_check() -> None:
    sections = changed("seed", 2**32 - 1)
    checked = check(sections)
    assert checked == Declaration.parse(sections)
    assert checked.seed == 2**32 - 1
