"""A `module:` in a network's lists names a class to build: only allowed ones, and refused before they are run."""

from pathlib import Path
from typing import Any

import pytest

from pipeline import summary
from pipeline.declaration.composition import compose
from pipeline.declaration.targets import check_modules, find_targets
from tests.refusals import refused

SHUFFLE = {"module": "torch.nn.PixelShuffle", "upscale_factor": 2}
EVIL = {"module": "os.system", "command": "true"}
BELOW = "allowed are names below torch.nn. and what the list allowed_targets adds"

# The network, where it is refused, and the name that is.
REFUSED: list[tuple[Any, str, Any]] = [
    ({"layers": [EVIL]}, "layers[0]", "os.system"),
    ({"head": ["flatten", EVIL]}, "head[1]", "os.system"),
    ({"layers": [SHUFFLE, {"module": "torch.load"}]}, "layers[1]", "torch.load"),
    ({"layers": [{"module": "builtins.eval"}]}, "layers[0]", "builtins.eval"),
    ({"layers": [{"module": "torch.nnn.Linear"}]}, "layers[0]", "torch.nnn.Linear"),
    ({"layers": [{"module": None}]}, "layers[0]", None),
    ({"layers": [{"module": ["torch.nn.ReLU"]}]}, "layers[0]", ["torch.nn.ReLU"]),
    ({"layers": [{"module": "torch.nn.modules.module.OrderedDict"}]}, "layers[0]", "collections.OrderedDict"),
    # Wherever lists stand in lists.
    ({"layers": [{"residual": ["relu", EVIL], "repeat": 2}]}, "layers[0].residual[1]", "os.system"),
    ({"layers": [{"residual": [SHUFFLE], "shortcut": [EVIL]}]}, "layers[0].shortcut[0]", "os.system"),
    ({"layers": [{"branches": [[SHUFFLE], [EVIL]]}]}, "layers[0].branches[1][0]", "os.system"),
    ({"layers": [{"conv": 3, "activation": EVIL}]}, "layers[0].activation", "os.system"),
    ({"layers": [{"module": "torch.nn.Identity", "more": EVIL}]}, "layers[0].more", "os.system"),
    ({"encoder": {"layers": ["pool", EVIL]}}, "encoder.layers[1]", "os.system"),
    ({"norm": EVIL}, "norm", "os.system"),
]


@pytest.mark.parametrize(("model", "place", "got"), REFUSED, ids=lambda value: str(value)[:60])
def test_module_outside_the_allowed_prefixes_is_refused_with_its_place(
    model: Any, place: str, got: Any
) -> None:
    with refused(f"model.{place}.module", got=got, hint=BELOW):
        check_modules(model, allowed=())


@pytest.mark.parametrize("name", ["torch.nn.Linaer", "torch.nn.init.torch.load"])
def test_module_that_does_not_exist_is_refused_with_its_place(name: str) -> None:
    with refused("model.layers[0].module", got=name, hint="correct the name"):
        check_modules({"layers": [{"module": name}]}, allowed=())


ACCEPTED: list[Any] = [
    {"layers": [SHUFFLE, {"residual": [SHUFFLE]}], "head": []},
    {"layers": ["module", {"conv": 3}]},  # a part without its value is refused by the planner
    {"layers": [{"conv": 3, "module": "os.system"}]},  # no part: an option that conv does not have
    {"name": "module"},
    {},
]


@pytest.mark.parametrize("model", ACCEPTED, ids=str)
def test_module_below_an_allowed_prefix_passes(model: Any) -> None:
    check_modules(model, allowed=())


def test_prefix_of_the_user_is_accepted_and_no_other() -> None:
    model = {"layers": [{"module": "mylab.layers.Swirl"}]}
    check_modules(model, allowed=("mylab.",))
    with refused(
        "model.layers[0].module", got="mylab.layers.Swirl", hint="yourlab. and what the list allowed_t"
    ):
        check_modules(model, allowed=("yourlab.",))


def test_targets_of_a_config_list_its_modules_once_in_order() -> None:
    config = {
        "optimizer": {"_target_": "torch.optim.SGD"},
        "augmentation": {"steps": [{"_target_": "albumentations.HorizontalFlip"}]},
        "model": {
            "layers": [SHUFFLE, {"residual": [{"module": "torch.nn.CELU"}, SHUFFLE]}],
            "encoder": {"layers": [{"module": "mylab.Swirl"}]},
            "head": [{"conv": 3, "module": "not.a.Part"}],
        },
        "tracking": {"module": "not.of.the.Network"},
    }
    assert find_targets(config) == [
        "albumentations.HorizontalFlip", "mylab.Swirl", "torch.nn.CELU", "torch.nn.PixelShuffle", "torch.optim.SGD",
    ]  # fmt: skip
    assert find_targets({}) == []


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a module that leaves a mark where it is imported; return the mark."""
    mark = tmp_path / "mark"
    (tmp_path / "trap_of_a_config.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Layer: ...")
    monkeypatch.syspath_prepend(tmp_path)
    return mark


LAYERS = "model.layers=[{module: trap_of_a_config.Layer}]"
SIZES = {"shape": [1, 8, 8], "outputs": 2}


@pytest.mark.parametrize(
    "door",
    [
        pytest.param(lambda: compose([LAYERS]), id="compose"),
        pytest.param(lambda: summary.summarise([LAYERS], {}), id="summary"),
        pytest.param(lambda: summary.summarise([LAYERS], SIZES), id="summary of a shape"),
    ],
)
def test_module_that_is_not_allowed_is_not_even_imported(door: Any, trap: Path) -> None:
    with refused("model.layers[0].module", got="trap_of_a_config.Layer", hint=BELOW):
        door()
    assert not trap.exists()


def test_module_that_is_allowed_becomes_a_layer() -> None:
    layers = "model.layers=[{module: torch.nn.PixelUnshuffle, downscale_factor: 2}]"
    head = "model.head=[flatten, {linear: outputs}]"
    assert compose([layers, head]).model["layers"][0]["downscale_factor"] == 2
