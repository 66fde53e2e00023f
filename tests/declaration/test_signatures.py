"""Signatures read from source: the same as Python's own of the imported thing, but without importing it."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration.signatures import find_module, names_in, signature


def imported(target: str) -> Any:
    module, name = target.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def assert_same(target: str) -> None:
    """Compare names, order, defaults and openness with `inspect.signature`."""
    found = signature(target)
    assert found is not None, target
    real = inspect.signature(imported(target)).parameters.values()
    named = [p for p in real if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    assert found.names() == tuple(p.name for p in named), target
    assert [p.has_default for p in found.parameters] == [p.default is not p.empty for p in named], target
    assert found.is_open == any(p.kind is p.VAR_KEYWORD for p in real), target


TARGETS = [
    "albumentations.Affine",
    "albumentations.ElasticTransform",
    "albumentations.HorizontalFlip",
    "albumentations.RandomResizedCrop",
    "pipeline.data.facts.Facts",
    "pipeline.declaration.settings.TrackingSettings",
    "pipeline.declaration.settings.TrainerSettings",
    "pipeline.tasks.classification.task.Classification",
    "pipeline.tasks.segmentation.task.Segmentation",
    "pipeline.transforms.augmentation.Augmentation",
    "pipeline.transforms.preprocess.Standardize",
    "pipeline.transforms.preprocess.Scaled",
    "pytorch_lightning.callbacks.EarlyStopping",
    "pytorch_lightning.callbacks.ModelCheckpoint",
    "torch.nn.Conv2d",
    "torch.nn.CrossEntropyLoss",
    "torch.nn.GELU",
    "torch.nn.functional.mse_loss",
    "torch.optim.Adam",
    "torch.optim.AdamW",
    "torch.optim.SGD",
    "torchmetrics.PearsonCorrCoef",  # Metric takes its own settings from **kwargs
]


@pytest.mark.parametrize("target", TARGETS)
def test_signature_is_that_of_the_imported_thing(target: str) -> None:
    assert_same(target)


@pytest.mark.parametrize(
    ("module", "least"),
    [
        ("albumentations", 100),
        ("pytorch_lightning.callbacks", 20),
        ("torch.optim", 10),
        ("torch.optim.lr_scheduler", 12),
    ],
)
def test_signatures_of_all_classes_of_a_library(module: str, least: int) -> None:
    library = importlib.import_module(module)
    classes = [
        name
        for name, value in vars(library).items()
        if inspect.isclass(value) and value.__module__.startswith(module) and not name.startswith("_")
    ]
    assert len(classes) >= least
    for name in classes:
        assert_same(f"{module}.{name}")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Lay out a package; its name is the test's own, as what was found is cached."""
    name = f"laid_{abs(hash(request.node.name))}"
    (tmp_path / name / "deep").mkdir(parents=True)
    files = {
        "__init__.py": "from .shapes import *\nfrom .deep.rings import Ring as Circle\n",
        "deep/__init__.py": "with suppress(ImportError):\n    from .rings import Wide\n",
        "deep/rings.py": '''
from __future__ import annotations
from dataclasses import (
    dataclass,
)
from typing import Generic, TypeVar
from .. import shapes
from ..shapes import Shape

T = TypeVar("T")

@dataclass(
    frozen=True,
)
class Ring(Generic[T]):
    """A ring.

Text at the margin of a docstring, such as
class Wide is not.
    """

    radius: float
    width: float = 1.0

class Wide(Shape):
    pass

@dataclass(
    frozen=True,
)
class Grid:
    rows: int
    columns: int = 1

class Far(shapes.Shape):
    pass

class Handing(Shape):
    def __init__(self, own, **kwargs):
        super().__init__(1, **kwargs)

class Naming(Shape):
    def __init__(self, own=1, **kwargs):
        super().__init__(colour="red", **kwargs)

class Keeping(Shape):
    def __init__(self, own, **kwargs):
        super().__init__(1)
        self.more = kwargs

class Lost(nowhere.Base):
    pass

class Made:
    def __new__(cls, size):
        return object.__new__(cls)
''',
        "shapes.py": """
import sys
from os import system

if sys.version_info >= (3, 8):
    class Shape:
        def __init__(self, size: int, /, colour: str = "blue", *sides: int, is_round: bool) -> None:
            pass

try:
    def make(size, *, colour="red", **more):
        pass
except ImportError:
    pass

class Empty:
    pass
""",
    }
    for file, text in files.items():
        (tmp_path / name / file).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return name


# name -> its parameters (a star where there is no default), with ** where it takes any
FOLLOWED = [
    ("shapes.Shape", "size* colour is_round*"),  # under `if`
    ("Shape", "size* colour is_round*"),  # star import
    ("make", "size* colour **"),  # under `try`
    ("Circle", "radius* width"),  # renamed on import; text at the margin
    ("deep.rings.Grid", "rows* columns"),  # a decorator over several lines
    ("deep.Wide", "size* colour is_round*"),  # under `with`; the constructor of its base class
    ("deep.rings.Handing", "own* colour is_round*"),  # **kwargs goes to the base class, which has its size
    ("deep.rings.Naming", "own size* is_round*"),
    ("deep.rings.Keeping", "own* **"),  # **kwargs stays here
    ("Empty", ""),
]


@pytest.mark.parametrize(("name", "parameters"), FOLLOWED)
def test_names_are_followed_through_the_source(package: str, name: str, parameters: str) -> None:
    found = signature(f"{package}.{name}")
    assert found is not None
    words = [p.name if p.has_default else f"{p.name}*" for p in found.parameters]
    assert " ".join([*words, *["**"] * found.is_open]) == parameters


@pytest.mark.parametrize(
    "name", ["deep.rings.Lost", "deep.rings.Far", "deep.rings.Made", "Nowhere", "nowhere.Ring", "shapes"]
)
def test_what_cannot_be_followed_has_no_signature(package: str, name: str) -> None:
    assert signature(f"{package}.{name}") is None


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("Circle", "deep.rings"),
        ("make", "shapes"),
        ("deep.rings.Ring", "deep.rings"),
        ("deep.rings.Made", "deep.rings"),
    ],
)
def test_home_is_the_module_that_defines_a_name(package: str, name: str, home: str) -> None:
    assert find_module(f"{package}.{name}") == f"{package}.{home}"


def test_home_of_a_name_from_elsewhere_is_elsewhere() -> None:
    assert find_module("pipeline.data.archive.Path") == "pathlib"
    assert find_module("torch.optim.lr_scheduler.cast") == "typing"


@pytest.mark.parametrize("target", ["torch.nn.Linearr", "torch.nn", "nowhere.Thing", "Thing", ""])
def test_name_that_is_not_there_has_no_home(target: str) -> None:
    assert find_module(target) is None


def test_names_of_a_module_are_those_that_can_be_imported_from_it() -> None:
    library = importlib.import_module("albumentations")
    made = {name: each for name, each in vars(library).items() if inspect.isclass(each)}
    steps = {
        name for name, each in made.items() if issubclass(each, library.BasicTransform | library.BaseCompose)
    }
    assert len(steps) > 100
    assert steps - {"ToTensorV2", "ToTensor3D"} <= names_in("albumentations"), (
        "those two are imported by name"
    )
    assert names_in("pipeline.transforms.steps.pca_color") == {"PcaColor", "shifted"}
    assert names_in("pipeline.no_such_module") == frozenset()
