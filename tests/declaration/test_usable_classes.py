"""What is harmless stays usable: all of conf/, and the classes of torch and albumentations that a section may name."""

import importlib
import inspect
from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Any

import pytest

from pipeline.declaration.composition import CONF
from pipeline.declaration.conf_files import check_files
from pipeline.declaration.targets import KINDS, check_allowed
from pipeline.errors import ConfigError

# The kind, the package, the base classes, how many of its public classes are accepted, and which are not.
LIBRARIES: list[tuple[str, str, list[str], int, set[str]]] = [
    ("optimizer", "torch.optim", ["torch.optim.optimizer.Optimizer"], 16, set()),
    ("scheduler", "torch.optim.lr_scheduler", ["torch.optim.lr_scheduler.LRScheduler"], 16, set()),
    ("module", "torch.nn", ["torch.nn.modules.module.Module"], 163, set()),
    (
        "step",
        "albumentations",
        ["albumentations.BasicTransform", "albumentations.BaseCompose"],
        126,
        {"FDA", "HistogramMatching", "Lambda", "PixelDistributionAdaptation", "TextImage"},
    ),
]


def public_classes(package: str, bases: list[str]) -> Iterator[str]:
    library = importlib.import_module(package)
    kinds = tuple(resolve_name(base) for base in bases)
    for name in dir(library):
        found: Any = getattr(library, name)
        if not name.startswith("_") and inspect.isclass(found) and issubclass(found, kinds):
            yield name


@pytest.mark.parametrize(
    ("kind", "package", "bases", "count", "unsafe"), LIBRARIES, ids=[row[1] for row in LIBRARIES]
)
def test_classes_of_a_library_are_accepted_but_for_those_that_read_files_or_call_functions(
    kind: str, package: str, bases: list[str], count: int, unsafe: set[str]
) -> None:
    refused = set()
    names = sorted(public_classes(package, bases))
    for name in names:
        try:
            check_allowed(f"{package}.{name}", where="section._target_", kind=kind, allowed=())
        except ConfigError:
            refused.add(name)
    assert refused == unsafe == set(KINDS[kind].unsafe)
    assert len(names) - len(refused) == count


def test_every_step_whose_arguments_are_files_or_functions_is_known() -> None:
    suspects = set()
    for step in public_classes(
        "albumentations", ["albumentations.BasicTransform", "albumentations.BaseCompose"]
    ):
        for parameter in inspect.signature(resolve_name(f"albumentations.{step}")).parameters.values():
            is_function = "Callable" in str(parameter.annotation)
            if is_function or any(
                word in parameter.name for word in ("path", "file", "url", "_fn", "reference")
            ):
                suspects.add(step)
    # Equalize takes a mask or a function of one; YAML can write neither.
    assert suspects == {*KINDS["step"].unsafe, "Equalize"}


def test_own_classes_are_accepted_by_their_kind() -> None:
    for kind, name in [
        *(
            ("preprocess", f"preprocess.{name}")
            for name in ("Scaled", "MeanImage", "Standardize", "PcaWhiten", "ZcaWhiten")
        ),
        *(("mixing", f"mixing.{name}") for name in ("Mixup", "CutMix")),
        *(("step", f"steps.{name}") for name in ("affine.Affine", "pad_crop.PadCrop", "pca_color.PcaColor")),
    ]:
        check_allowed(f"pipeline.transforms.{name}", where="section._target_", kind=kind, allowed=())


def test_every_file_of_conf_is_accepted() -> None:
    check_files(CONF)
