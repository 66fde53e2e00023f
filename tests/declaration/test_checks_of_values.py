"""Mistakes in the values of a declaration, as the check of compose finds them."""

import re
from copy import deepcopy
from functools import cache
from typing import Any

import pytest

from pipeline.declaration.checks import check
from pipeline.declaration.composition import compose
from pipeline.errors import ConfigError

VALUES: list[tuple[str, Any, str]] = [
    ("seed", -1, "seed must be a whole number from 0 to 4294967295, got -1"),
    ("seed", True, "seed must be a whole number from 0 to 4294967295, got True"),
    ("seed", 2**32, "seed must be a whole number from 0 to 4294967295, got 4294967296"),
    ("name", None, "name must be text, got None; "),
    ("name", "", "name must be text, got ''; "),
    ("allowed_targets", "mylab.",
     "allowed_targets must be a list of prefixes such as [mylab.], got 'mylab.'"),
    ("allowed_targets", [""], "allowed_targets must be a list of prefixes such as [mylab.], got ['']"),
    ("optimizer", None, "optimizer must be a mapping of keys, got None"),
    ("optimizer", ..., "optimizer: the section is missing; conf/config.yaml composes it"),
    ("colours", 3, "colours: unknown section; allowed: allowed_targets, augmentation, "),
    ("preprocess", {}, "preprocess._target_ is missing; name the class to build"),
    ("task", {}, "task._target_ is missing; name the class to build"),
    ("scheduler", {}, "scheduler._target_ is missing; name the class to build"),
    ("augmentation.steps", 3, "augmentation.steps must be list[Any], got 3 (int); YAML writes"),
    ("augmentation.steps", [{"p": 1}],
     "augmentation.steps[0] needs a _target_, got {'p': 1}; name a transform"),
    ("augmentation.steps", ["flip"], "augmentation.steps[0] needs a _target_, got 'flip'; name a transform"),
    ("augmentation.steps", [{"_target_": "os.system"}],
     "augmentation.steps[0]._target_: 'os.system' is not "),
    ("optimizer._target_", "torch.load",
     "optimizer._target_: 'torch.load' is not allowed; allowed are names below "),
    ("optimizer.lr", "fast", "optimizer.lr must be float | Tensor, got 'fast' (str); YAML writes"),
    ("optimizer.params", [], "optimizer.params: torch.optim.SGD has no such option; "),
    ("scheduler.T_max", ...,
     "scheduler.T_max is missing; torch.optim.lr_scheduler.CosineAnnealingLR needs it"),
    ("task._target_", "torch.nn.ReLU",
     "task.label_smoothing: torch.nn.ReLU has no such option; allowed: inplace"),
    ("task", {"_target_": "pipeline.tasks.task.Task"},
     "task._target_: unknown task pipeline.tasks.task.Task; "),
    # Trainer.
    ("trainer.max_epochs", 0, "trainer.max_epochs must be at least 1, got 0"),
    ("trainer.max_epochs", 2.5, "trainer.max_epochs must be int, got 2.5 (float); YAML writes"),
    ("trainer.max_epochs", ...,
     "trainer.max_epochs is missing; pipeline.runs.settings.TrainerSettings needs it"),
    ("trainer.batch_size", 0, "trainer.batch_size must be at least 1, got 0"),
    ("trainer.num_workers", -1, "trainer.num_workers must be auto or at least 0, got -1"),
    ("trainer.keep", "first", "trainer.keep must be best or last, got 'first'"),
    ("trainer.gradient_clip", 0.0, "trainer.gradient_clip must be above 0 or null, got 0.0"),
    ("trainer.early_stopping", {"patience": 3},
     "trainer.early_stopping must be null or {patience: 10, min_delta"),
    ("trainer.early_stopping", {"patience": "3"},
     "trainer.early_stopping must be dict[str, float] | None, got "),
    ("trainer.deterministic", "yes", "trainer.deterministic must be true, false or warn, got 'yes'"),
    ("tracking.log_model", "yes", "tracking.log_model must be bool, got 'yes' (str); YAML writes"),
    # Data.
    ("data", [], "data must be a mapping of keys, got []"),
    ("data.shape", [1, 32], "data.shape must be [channels, rows, columns] with 1 or 3 channels, got [1, 32]"),
    ("data.shape", [2, 32, 32],
     "data.shape must be [channels, rows, columns] with 1 or 3 channels, got [2, 32"),
    ("data.shape", [1, 0, 32],
     "data.shape must be [channels, rows, columns] with 1 or 3 channels, got [1, 0"),
    ("data.classes", ["a"], "data.classes must be at least two different names, got ['a']"),
    ("data.classes", ["a", "a"], "data.classes must be at least two different names, got ['a', 'a']"),
    ("data.classes", [0, 1], "data.classes must be list[str], got [0, 1] (list); YAML writes"),
    ("data.classes", [str(n) for n in range(256)], "data.classes must be at most 255 names, got 256"),
    ("data.background", 10, "data.background must be null or a class index from 0 to 9, got 10"),
    ("data.ignore_label", 9, "data.ignore_label must be null or a value from 10 to 255, beyond the class "),
    ("data.format", "class_folder",
     "data.format: unknown format 'class_folder'; did you mean 'class_folders'? "),
    ("data.split", "random", "data.split must be folders or {val: 0.15, test: 0.15, seed: 0}, got 'random'"),
    ("data.split", {"val": 0.5},
     "data.split must be folders or {val: 0.15, test: 0.15, seed: 0}, got {'val'"),
    ("data.split", {"val": 0.5, "test": 0.5, "seed": 0},
     "data.split must be shares above 0 for val and test that sum to less than 1, got {'val': 0.5"),
    ("data.split", {"val": "a", "test": 0.5, "seed": 0},
     "data.split must be str | dict[str, float], got {'val'"),
    # What does not fit what.
    ("input_shape", [3, 32, 32], "input_shape must be [1, rows, columns] of what the network sees, got [3, 32, 32]"),
    ("input_shape", [1, 32], "input_shape must be [1, rows, columns] of what the network sees, got [1, 32]"),
    ("input_shape", [1, 0, 32], "input_shape must be [1, rows, columns] of what the network sees, got [1, 0, 32]"),
    ("input_shape", "32x32", "input_shape must be [1, rows, columns] of what the network sees, got '32x32'"),
    ("input_shape", [1, 64, 32], "input_shape [1, 64, 32] is larger than data.shape [1, 32, 32]; crops are taken"),
    ("augmentation.mixing", {"alpha": 1.0}, "augmentation.mixing needs a _target_, got {'alpha': 1.0}; name a "),
    ("augmentation.steps", [{"_target_": "albumentations.OneOf", "transforms": ["flip"]}],
     "augmentation.steps[0].transforms[0] needs a _target_, got 'flip'; name a transform"),
    ("augmentation.steps", [{"_target_": "albumentations.OneOf", "transforms": None}],
     "augmentation.steps[0].transforms must be a list of steps, got None"),
    ("augmentation.steps", [{"_target_": "albumentations.HorizontalFlp"}],
     "augmentation.steps[0]._target_: there is no albumentations.HorizontalFlp; did you mean 'HorizontalFlip'?"),
    ("augmentation.copies", 2, "augmentation.copies must be null where augmentation.steps is empty, got 2"),
    ("preprocess", {"_target_": "pipeline.transforms.preprocess.PcaWhiten", "patch": 5, "epsilon": 0.1},
     "preprocess.patch must be a divisor of the rows and columns of images of 1 x 32 x 32, got 5; "),
    ("views.crops", "five", "views.crops must be centre or corners, got 'five'"),
    ("views", {"crops": "centre"}, "views.mirror is missing; pipeline.transforms.views.Views needs it"),
    ("input_shape", [1, 8, 8],
     "model.layers[2]: in {conv: 16, kernel: 5, padding: valid} of model lenet5, the kernel does not fit its 2x2 "
     "input, got (5, 5); use a larger image (data.shape), fewer strides and pools before it, or a smaller kernel"),
    ("data.format", "image_masks", "task: classification needs a label for each image, data digits (format "
     "image_masks) has a mask; choose another task= or data="),
    ("task._target_", "pipeline.tasks.segmentation.task.Segmentation", "task.label_smoothing: pipeline.tasks."),
    ("model.head", ["flatten", {"linear": 3}],
     "model.head[0]: in flatten of model lenet5, the input of flatten must be a map"),
    ("model.head", [{"linear": 3}],
     "model lenet5 puts out (3,) for an image of (1, 32, 32), the task needs (10,); "
     "choose a network for this task, or end its head accordingly"),
    ("model.layers", [{"conv2": 3}],
     "model.layers[0]: in {conv2: 3} of model lenet5, unknown layer 'conv2'; did you mean 'conv'?"),
]  # fmt: skip


@cache
def defaults() -> dict[str, Any]:
    return {section: value for section, value in compose([]).items() if section != "digest"}


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


@pytest.mark.parametrize(("path", "value", "message"), VALUES, ids=lambda value: str(value)[:30])
def test_mistake_in_a_value_is_told_with_its_path_and_the_way_out(
    path: str, value: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}") as told:
        check(changed(path, value))
    assert "\n" not in str(told.value)


def test_declaration_without_a_mistake_passes_the_check() -> None:
    check(changed("seed", 2**32 - 1))
