"""Folding: a model without its norms puts out what it did with them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.networks.build import build
from pipeline.plans.view import Shape
from pipeline.transfer.folding import fold_norms
from tests.plans.models import plan_conf, plan_lists

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def scrambled(model: nn.Module) -> nn.Module:
    """Give every norm running statistics, weights and biases of its own; return the model in evaluation."""
    generator = torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, BATCH_NORMS):
            for tensor in (module.running_var, module.weight):
                assert isinstance(tensor, Tensor)
                nn.init.uniform_(tensor, 0.5, 1.5, generator)
            for tensor in (module.running_mean, module.bias):
                assert isinstance(tensor, Tensor)
                nn.init.normal_(tensor, std=0.5, generator=generator)
    return model.eval()


def built(layers: list[Any], *, shape: Shape = (3, 12, 10), **changes: Any) -> nn.Module:
    return scrambled(build(plan_lists(layers, shape=shape, **changes), seed=0))


def images(*shape: int) -> Tensor:
    return torch.randn(2, *shape, generator=torch.manual_seed(1))


def num_norms(model: nn.Module) -> int:
    return sum(isinstance(module, BATCH_NORMS) for module in model.modules())


def check_folded(model: nn.Module, *shape: int, num_left: int, single: float = 1e-5) -> None:
    """Ask for equal outputs without the folded norms, up to so much of the largest; in double up to 1e-12."""
    for precision, tolerance in ((torch.float32, single), (torch.float64, 1e-12)):
        folded = fold_norms(model.to(precision))
        assert num_norms(folded) == num_left
        with torch.inference_mode():
            wanted, found = (each(images(*shape).to(precision)) for each in (model, folded))
        torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance * float(wanted.abs().max()))


NORM = {"norm": "batch"}
FOLDED: list[list[Any]] = [
    [{"conv": 4, **NORM}],
    [{"conv": 4, "bias": True, **NORM}],
    [{"conv": 4, "kernel": [3, 5], "stride": 2, "padding": [0, 1], **NORM}],
    [{"conv": 6, "groups": 3, **NORM}],
    [{"depthwise": 3, "multiplier": 2, **NORM}],
    [{"up": 4, **NORM}],
    [{"up": 4, "kernel": 3, "stride": 2, "bias": True, **NORM}],
    ["flatten", {"linear": 5, **NORM}],
    [{"conv": 4, "activation": "none"}, {"norm": "batch"}],
    [{"conv": 4, "activation": {"maxout": 2}, **NORM}],
]


@pytest.mark.parametrize("layers", FOLDED, ids=str)
def test_norm_behind_a_filter_folds_into_it(layers: list[Any]) -> None:
    model = built(layers)
    assert num_norms(model) == 1
    check_folded(model, 3, 12, 10, num_left=0)


KEPT: list[list[Any]] = [
    [{"norm": "batch"}, {"conv": 4}],  # before its filter, as in DenseNet
    [{"norm": "batch"}, "activation", {"conv": 4}],
    [{"conv": 4}, {"norm": "batch"}],  # the activation stands between them
    [{"conv": 4}, "pool", {"norm": "batch"}],
    ["flatten", {"norm": "batch"}, {"linear": 4}],
    [{"conv": 2, "wiring": [[0, 1], [2]], **NORM}],
    [{"skip": [{"conv": 4, "activation": "none"}]}, {"norm": "batch"}],
]


@pytest.mark.parametrize("layers", KEPT, ids=str)
def test_norm_that_follows_no_filter_stays(layers: list[Any]) -> None:
    model = built(layers)
    assert num_norms(model) == 1
    check_folded(model, 3, 12, 10, num_left=1)


@pytest.mark.parametrize(
    "pair",
    [
        (nn.ConvTranspose2d(4, 4, 2, 2, groups=2), nn.BatchNorm2d(4)),
        (nn.ConvTranspose2d(3, 3, 3, groups=3), nn.BatchNorm2d(3)),
        (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
    ],
    ids=["grouped up", "depthwise up", "no running statistics"],
)
def test_norm_that_torch_does_not_fuse_stays(pair: tuple[nn.Module, nn.Module]) -> None:
    model = nn.Sequential(*pair).eval()
    channels = next(model[0].parameters()).shape[0 if isinstance(model[0], nn.ConvTranspose2d) else 1]
    check_folded(model, channels, 12, 10, num_left=1)


@pytest.mark.parametrize("norm", ["instance", "layer", {"group": 2}])
def test_other_norms_depend_on_the_image_and_stay(norm: Any) -> None:
    model = built([{"conv": 4, "norm": norm}])
    assert list(map(type, fold_norms(model).modules())) == list(map(type, model.modules()))


@pytest.mark.parametrize(
    ("name", "kept"), [("resnet20", 0), ("mobilenet_v2", 0), ("unet_small", 0), ("preact_resnet18", 8)]
)
def test_network_puts_out_the_same_without_its_norms(name: str, kept: int) -> None:
    """In preact_resnet18 a norm before each block follows a sum, and stays."""
    network = plan_conf(f"model={name}", "model.width=0.25", shape=(3, 32, 32), outputs=4)
    model = scrambled(build(network, seed=0))
    assert num_norms(model) > kept
    check_folded(model, 3, 32, 32, num_left=kept, single=5e-5)  # mobilenet_v2 rounds 53 times in a row


def test_model_itself_is_left_as_it_was() -> None:
    model = built([{"conv": 4, **NORM}, {"residual": [{"conv": 4, **NORM}]}])
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    kinds = list(map(type, model.modules()))
    folded = fold_norms(model)
    for parameter in folded.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)
    assert list(map(type, model.modules())) == kinds


def test_folding_twice_is_folding_once() -> None:
    folded = fold_norms(built([{"conv": 4, **NORM}]))
    torch.testing.assert_close(fold_norms(folded).state_dict(), folded.state_dict(), rtol=0, atol=0)


def test_model_in_training_is_refused() -> None:
    model = built([{"conv": 4, **NORM}]).train()
    message = r"^fold_norms needs a model in evaluation; call model\.eval\(\) first$"
    with pytest.raises(ValueError, match=message):
        fold_norms(model)


def test_copy_is_in_evaluation_like_its_model() -> None:
    folded = fold_norms(built([{"conv": 4, **NORM}]))
    assert any(isinstance(module, nn.Identity) for module in folded.modules())
    assert not any(module.training for module in folded.modules())
