"""How structures join their lists: sums, concatenations, gates and side heads."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.layers.containers import Auxiliary
from pipeline.networks.build import build, pair_modules
from tests.networks.models import build_layers, layer_of, plan_layers

MAP = (4, 6, 5)
FILTERS = {"conv": 4, "activation": "none"}


def run(layer: dict[str, Any], image: Tensor, **changes: Any) -> tuple[nn.Module, Tensor]:
    """Build one layer for an image and apply it, in evaluation; return its container and its output."""
    module = build_layers(layer, shape=tuple(image.shape[1:]), **changes).eval()
    return layer_of(module), module(image)


def test_residual_adds_its_input_then_applies_the_activation() -> None:
    image = torch.randn(2, *MAP)
    block, output = run({"residual": [{"conv": 4}, FILTERS]}, image)
    torch.testing.assert_close(output, torch.relu(block.body(image) + image))
    assert isinstance(block.shortcut, nn.Identity)
    assert (block.body(image) < 0).any(), "the last convolution must not cut off negative numbers"


def test_residual_has_the_activation_that_it_names() -> None:
    image = torch.randn(2, *MAP)
    block, output = run({"residual": [FILTERS], "activation": "tanh"}, image)
    torch.testing.assert_close(output, torch.tanh(block.body(image) + image))


def test_residual_projects_its_input_where_the_shapes_differ() -> None:
    image = torch.randn(2, *MAP)
    layer = {"residual": [{**FILTERS, "conv": 8, "stride": 2}], "activation": "none"}
    block, output = run(layer, image)
    torch.testing.assert_close(output, block.body(image) + block.shortcut(image))
    (projection,) = block.shortcut.children()
    conv, norm = projection.children()  # option B: a strided 1x1 convolution with norm, no activation
    assert (conv.kernel_size, conv.stride, type(norm)) == ((1, 1), (2, 2), nn.BatchNorm2d)


def test_shortcut_that_pads_takes_every_other_pixel_and_appends_zeros() -> None:
    image = torch.randn(2, *MAP)
    layer = {"residual": [{**FILTERS, "conv": 7, "stride": 2}], "shortcut": "pad", "activation": "none"}
    block, output = run(layer, image)
    padded = output - block.body(image)
    torch.testing.assert_close(padded[:, :4], image[:, :, ::2, ::2])
    torch.testing.assert_close(padded[:, 4:], torch.zeros(2, 3, 3, 3))
    assert list(block.shortcut.parameters()) == []


@pytest.mark.parametrize("shortcut", ["pad", "project"])
def test_shortcut_is_the_identity_where_the_shapes_agree(shortcut: str) -> None:
    block, _ = run({"residual": [{"conv": 4}], "shortcut": shortcut}, torch.randn(2, *MAP))
    assert isinstance(block.shortcut, nn.Identity)


def test_shortcut_of_layers_is_used_where_the_shapes_agree_too() -> None:
    image = torch.randn(2, *MAP)
    layer = {"residual": [FILTERS], "shortcut": [{"pool": "avg", "kernel": 3, "stride": 1, "padding": 1}]}
    block, output = run({**layer, "activation": "none"}, image)
    pooled = nn.functional.avg_pool2d(image, kernel_size=3, stride=1, padding=1)
    torch.testing.assert_close(output, block.body(image) + pooled)


def test_skip_puts_its_input_first() -> None:
    image = torch.randn(2, *MAP)
    block, output = run({"skip": [{"conv": 8}]}, image)
    assert torch.equal(output[:, :4], image)
    torch.testing.assert_close(output[:, 4:], block.body(image))


@pytest.mark.parametrize("how", [{"crop": True}, {"padding": "valid"}])
def test_skip_that_crops_keeps_the_centre_of_its_input(how: dict[str, Any]) -> None:
    image = torch.randn(2, 4, 9, 8)
    layer = {"skip": [{"conv": 8, "kernel": 5, "padding": "valid"}], **how}
    changes = {"padding": layer.pop("padding")} if "padding" in layer else {}
    block, output = run(layer, image, **changes)
    assert torch.equal(output[:, :4], image[:, :, 2:-2, 2:-2])
    torch.testing.assert_close(output[:, 4:], block.body(image))


def test_branches_are_concatenated_in_the_order_of_the_list() -> None:
    image = torch.randn(2, *MAP)
    lists = [
        [{"scale": 2}],
        [{"scale": 3}, {"scale": 5}],
        [{"pool": "max", "kernel": 3, "stride": 1, "padding": 1}],
    ]
    _, output = run({"branches": lists}, image)
    pooled = nn.functional.max_pool2d(image, kernel_size=3, stride=1, padding=1)
    torch.testing.assert_close(output, torch.cat([2 * image, 15 * image, pooled], dim=1))


def test_inception_puts_its_branches_in_the_order_of_the_paper() -> None:
    image = torch.randn(2, *MAP)
    parts = {"norm": "none", "activation": "none", "init": {"constant": 1.0}}
    _, output = run({"inception": [1, 1, 1, 1, 1, 1]}, image, **parts)
    total = image.sum(dim=1, keepdim=True)
    pooled = nn.functional.max_pool2d(image, kernel_size=3, stride=1, padding=1).sum(dim=1, keepdim=True)
    sums = [total]
    sums += [k**2 * nn.functional.avg_pool2d(total, k, stride=1, padding=k // 2) for k in (3, 5)]
    torch.testing.assert_close(output, torch.cat([*sums, pooled], dim=1))


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_squeeze_excite_gates_each_channel_by_all_channels_means(activation: str) -> None:
    image = torch.randn(3, 8, 6, 5)
    block, output = run({"squeeze_excite": 2, "activation": activation}, image, norm="batch")
    first, first_bias, second, second_bias = block.body.parameters()
    hidden = image.mean(dim=(2, 3)) @ first.flatten(1).T + first_bias  # Hu et al. 2018, equations 2 and 3
    gate = torch.sigmoid(getattr(torch, activation)(hidden) @ second.flatten(1).T + second_bias)
    torch.testing.assert_close(output, gate[..., None, None] * image)
    assert ((gate > 0) & (gate < 1)).all()
    assert first.shape[0] == 8 // 2


# Hidden units of the squeezed blocks of MobileNetV3-Small: channels, then what the authors' code makes of C / 4.
@pytest.mark.parametrize(
    ("channels", "hidden"),
    [(16, 8), (72, 24), (96, 24), (240, 64), (120, 32), (144, 40), (288, 72), (576, 144)],
)
def test_hidden_units_of_squeeze_excite_round_to_the_multiple(channels: int, hidden: int) -> None:
    network = plan_layers({"squeeze_excite": 4, "multiple": 8}, shape=(channels, 2, 2))
    assert [leaf.shape[0] for leaf in network.leaves()] == [channels, hidden, channels, channels]


def test_hidden_units_of_squeeze_excite_are_never_fewer_than_one() -> None:
    network = plan_layers({"squeeze_excite": 16}, shape=(4, 2, 2))
    assert [leaf.shape[0] for leaf in network.leaves()] == [4, 1, 4, 4]


SIDE = {"auxiliary": ["flatten", {"linear": "outputs"}], "weight": 0.4}


def test_auxiliary_head_passes_its_input_on_and_keeps_its_outputs_in_training() -> None:
    module = build_layers(SIDE, "pool", "flatten", {"linear": "outputs"}, shape=MAP).train()
    side, image = layer_of(module), torch.randn(2, *MAP)
    assert isinstance(side, Auxiliary)
    assert side.weight == 0.4
    assert torch.equal(side(image), image)
    torch.testing.assert_close(side.take(), side.body(image))
    with pytest.raises(AssertionError, match="needs a forward pass in training first"):
        side.take()


def test_auxiliary_head_vanishes_in_evaluation() -> None:
    with_side = build_layers(SIDE, "flatten", {"linear": "outputs"}, shape=MAP).eval()
    with_side(torch.randn(2, *MAP))
    with pytest.raises(AssertionError, match="needs a forward pass in training first"):
        layer_of(with_side).take()
    network = plan_layers(SIDE, "flatten", {"linear": "outputs"}, shape=MAP)
    without = plan_layers("flatten", {"linear": "outputs"}, shape=MAP)
    assert (network.weights, network.multiply_adds) == (without.weights, without.multiply_adds)
    assert [leaf.name for leaf in network.leaves()] == [leaf.name for leaf in without.leaves()]
    assert [leaf.name for leaf in network.side_leaves()] == ["flatten", "linear 10"]


RESIDUALS: list[Any] = [
    {"residual": [{"conv": 4}, FILTERS], "activation": "none"},
    {"residual": [{"conv": 6, "kernel": 1}, {"conv": 6}, {**FILTERS, "kernel": 1}], "activation": "none"},
    {"residual": [{"separable": 4, "activation": "none"}], "activation": "none"},
    {"residual": [{"conv": 6}, {"conv": 4, "norm": "none"}, "norm"], "activation": "none"},
    {"residual": [{"conv": 6}, FILTERS, {"scale": 0.5}], "activation": "none"},
    {"residual": [{"conv": 4}, {"conv": 4}], "activation": "none"},
    {"residual": [{"conv": 6}, {"conv": 4, "activation": "tanh"}, {"scale": 0.5}], "activation": "none"},
    {"inverted_residual": 4, "expand": 2},
    {"inverted_residual": 4, "expand": 2, "drop_path": 0.5},
]


@pytest.mark.parametrize("layer", RESIDUALS, ids=str)
@pytest.mark.parametrize("norm", ["batch", "layer", {"layer": "channels"}, "instance", {"group": 2}], ids=str)
def test_residual_whose_last_norm_starts_at_zero_is_the_identity(layer: Any, norm: Any) -> None:
    image = torch.randn(2, *MAP)
    module = build_layers(layer, shape=MAP, norm=norm, zero_last_norm=True)
    assert torch.equal(module.train()(image), image)
    assert torch.equal(module.eval()(image), image)
    started = build_layers(layer, shape=MAP, norm=norm).eval()
    assert not torch.allclose(started(image), image, atol=0.1)


def test_residual_of_vectors_whose_last_norm_starts_at_zero_is_the_identity() -> None:
    images = torch.randn(4, 6, 1, 1)
    layer = {"residual": [{"linear": 6, "norm": "batch", "activation": "none"}], "activation": "none"}
    assert torch.equal(build_layers(layer, shape=(6,), zero_last_norm=True)(images), images.flatten(1))


def test_only_the_last_norm_of_a_residual_starts_at_zero() -> None:
    layer = {"residual": [{"conv": 8}, {"conv": 8, "stride": 2, "activation": "none"}]}
    module = build_layers({"conv": 4}, layer, {"conv": 4}, shape=MAP, zero_last_norm=True)
    norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    assert [float(norm.weight.detach().mean()) for norm in norms] == [1, 1, 0, 1, 1]  # then the projection's
    assert not any(bool(norm.bias.any()) for norm in norms)


def test_network_whose_last_norms_start_at_zero_begins_as_its_stem() -> None:
    blocks = {"residual": [{"conv": 8}, {"conv": 8, "activation": "none"}], "repeat": 3}
    module = build_layers({"conv": 8}, blocks, shape=MAP, zero_last_norm=True).eval()
    image = torch.randn(2, *MAP)
    assert torch.equal(module(image), layer_of(module)(image))


def test_modules_of_a_plan_are_paired_with_what_was_built() -> None:
    network = plan_layers(
        SIDE,
        {"residual": [{"branches": [[{"conv": 4}], [{"conv": 4, "kernel": 1}]]}]},
        {"skip": [{"squeeze_excite": 2}]},
        shape=MAP,
        head=["flatten", {"linear": "outputs"}],
    )
    pairs = list(pair_modules(network, build(network, seed=0)))
    planned = {id(leaf) for leaf in (*network.leaves(), *network.side_leaves())}
    assert {id(leaf) for leaf, _ in pairs} == planned
    assert len(pairs) == len(planned)
    for leaf, module in pairs:
        assert leaf.weights == sum(p.numel() for p in module.parameters()), leaf.where
