"""A `module:` in a network's lists names a class to build: only allowed ones, and refused before they are run."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import compose as stage
from pipeline import summary
from pipeline.declaration.targets import check_modules, find_targets
from pipeline.errors import ConfigError

SHUFFLE = {"module": "torch.nn.PixelShuffle", "upscale_factor": 2}
EVIL = {"module": "os.system", "command": "true"}
NOT_ALLOWED = "is not allowed; allowed are names below pipeline.tasks., pipeline.transforms., torch.nn., "

REFUSED: list[tuple[Any, str]] = [
    ({"layers": [EVIL]}, f"model.layers[0].module: 'os.system' {NOT_ALLOWED}"),
    ({"head": ["flatten", EVIL]}, f"model.head[1].module: 'os.system' {NOT_ALLOWED}"),
    ({"layers": [SHUFFLE, {"module": "torch.load"}]}, f"model.layers[1].module: 'torch.load' {NOT_ALLOWED}"),
    ({"layers": [{"module": "builtins.eval"}]}, f"model.layers[0].module: 'builtins.eval' {NOT_ALLOWED}"),
    ({"layers": [{"module": "torch.nnn.Linear"}]}, f"model.layers[0].module: 'torch.nnn.Linear' {NOT_ALLOWED}"),
    ({"layers": [{"module": None}]}, f"model.layers[0].module: None {NOT_ALLOWED}"),
    ({"layers": [{"module": ["torch.nn.ReLU"]}]}, f"model.layers[0].module: ['torch.nn.ReLU'] {NOT_ALLOWED}"),
    ({"layers": [{"module": "pipeline.transforms.statistics.Path"}]},
     f"model.layers[0].module: 'pathlib.Path' {NOT_ALLOWED}"),
    ({"layers": [{"module": "torch.nn.Linaer"}]},
     "model.layers[0].module: there is no torch.nn.Linaer; correct the name"),
    ({"layers": [{"module": "torch.nn.init.torch.load"}]},
     "model.layers[0].module: there is no torch.nn.init.torch.load; correct the name"),
    # Wherever lists stand in lists.
    ({"layers": [{"residual": ["relu", EVIL], "repeat": 2}]}, "model.layers[0].residual[1].module: 'os.system' is "),
    ({"layers": [{"residual": [SHUFFLE], "shortcut": [EVIL]}]}, "model.layers[0].shortcut[0].module: 'os.system' "),
    ({"layers": [{"branches": [[SHUFFLE], [EVIL]]}]}, "model.layers[0].branches[1][0].module: 'os.system' is "),
    ({"layers": [{"conv": 3, "activation": EVIL}]}, "model.layers[0].activation.module: 'os.system' is not "),
    ({"layers": [{"module": "torch.nn.Identity", "more": EVIL}]}, "model.layers[0].more.module: 'os.system' is "),
    ({"encoder": {"layers": ["pool", EVIL]}}, "model.encoder.layers[1].module: 'os.system' is not allowed; "),
    ({"norm": EVIL}, "model.norm.module: 'os.system' is not allowed; "),
]  # fmt: skip


@pytest.mark.parametrize(("model", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_module_outside_the_allowed_prefixes_is_refused_with_its_place(model: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        check_modules(model, allowed=())


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
    with pytest.raises(
        ConfigError, match=r"^model\.layers\[0\]\.module: 'mylab\.layers\.Swirl' is not allowed"
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
        pytest.param(lambda: stage.compose([LAYERS]), id="compose"),
        pytest.param(lambda: summary.summarise([LAYERS], {}), id="summary"),
        pytest.param(lambda: summary.summarise([LAYERS], SIZES), id="summary of a shape"),
    ],
)
def test_module_that_is_not_allowed_is_not_even_imported(door: Any, trap: Path) -> None:
    with pytest.raises(ConfigError):
        door()
    assert not trap.exists()


def test_module_that_is_allowed_becomes_a_layer() -> None:
    layers = "model.layers=[{module: torch.nn.PixelUnshuffle, downscale_factor: 2}]"
    head = "model.head=[flatten, {linear: outputs}]"
    assert stage.compose([layers, head])["model"]["layers"][0]["downscale_factor"] == 2
