"""One row per architecture: figures from the paper or a sum by hand, against plan and built module."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from pipeline.networks.build import build
from pipeline.networks.plan import Leaf, Network, Node, Shape
from pipeline.networks.structures import plan

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "conf" / "model"


def count_conv(kernel: int, channels: int, filters: int, *, norm: bool) -> int:
    """Weights of a convolution: a batch norm has two numbers per filter and replaces the bias."""
    return kernel**2 * channels * filters + (2 if norm else 1) * filters


def count_unet(widths: list[int], outputs: int, *, norm: bool) -> int:
    """Weights of a U-Net on one channel; `widths` are the filters of its levels, from the top down."""
    total = 0
    for above, width in zip([1, *widths], widths, strict=False):  # the way down
        total += count_conv(3, above, width, norm=norm) + count_conv(3, width, width, norm=norm)
    for above, width in pairwise(widths):  # the way up: up-convolution, two convolutions
        total += 2**2 * width * above + above
        total += count_conv(3, 2 * above, above, norm=norm) + count_conv(3, above, above, norm=norm)
    return total + widths[0] * outputs + outputs


def multiply_unet(widths: list[int], outputs: int, *, pixels: int) -> int:
    """Multiply-adds of a U-Net; each level has a quarter of the pixels of the one above."""
    total = pixels * widths[0] * outputs
    for level, (above, width) in enumerate(zip([1, *widths], widths, strict=False)):
        total += pixels // 4**level * 9 * (above * width + width * width)
    for level, (above, width) in enumerate(pairwise(widths)):
        # 2x2 taps per pixel of the level below; then 2 * above channels in, above out, and again.
        total += pixels // 4 ** (level + 1) * 4 * width * above
        total += pixels // 4**level * 9 * (2 * above * above + above * above)
    return total


LENET5_MULTIPLY_ADDS = 28**2 * 6 * 25 + 10**2 * 16 * 150 + 120 * 400 + 84 * 120 + 10 * 84
UNET, UNET_SMALL = [64, 128, 256, 512, 1024], [16, 32, 64]


@dataclass(frozen=True)
class Row:
    name: str
    shape: Shape
    outputs: int
    weights: int
    multiply_adds: int


ZOO = [
    #   name          image (C, H, W)  outputs  weights      multiply-adds
    Row("lenet5",     (1, 32, 32),     10,      61_706,      LENET5_MULTIPLY_ADDS),
    Row("resnet18",   (3, 224, 224),   1000,    11_689_512,  1_814_073_344),  # torchvision; 1.81 G in fvcore
    Row("unet",       (1, 96, 96),     2,       31_030_658,  multiply_unet(UNET, 2, pixels=96 * 96)),
    Row("unet_small", (1, 96, 64),     3,       count_unet(UNET_SMALL, 3, norm=True),
        multiply_unet(UNET_SMALL, 3, pixels=96 * 64)),
]  # fmt: skip

EACH = pytest.mark.parametrize("row", ZOO, ids=lambda row: row.name)


def read_model(row: Row) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((MODELS / f"{row.name}.yaml").read_text())
    return loaded


def plan_row(row: Row, *, largest: int = 10_000) -> Network:
    channels, rows, columns = row.shape
    shape = (channels, min(rows, largest), min(columns, largest))
    return plan(read_model(row), shape=shape, outputs=row.outputs)


@cache
def build_row(row: Row) -> tuple[Network, nn.Sequential]:
    """Plan and build a row, for images of at most 64x64."""
    network = plan_row(row, largest=64)
    return network, build(network, seed=0).eval()


def pair_up(nodes: tuple[Node, ...], module: nn.Module) -> Iterator[tuple[Leaf, nn.Module]]:
    """Walk plan and built module side by side: yield each leaf with its module."""
    if not nodes:
        assert isinstance(module, nn.Identity)
        return
    assert isinstance(module, nn.Sequential)
    for node, child in zip(nodes, module.children(), strict=True):
        if isinstance(node, Leaf):
            yield node, child
            continue
        *branches, after = child.children()
        for branch, branch_module in zip(node.branches, branches, strict=True):
            yield from pair_up(branch, branch_module)
        (total,) = node.after
        yield total, after


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_every_yaml_has_its_row() -> None:
    assert {path.stem for path in MODELS.glob("*.yaml")} == {row.name for row in ZOO}


@EACH
def test_weights_and_multiply_adds_are_those_of_the_row(row: Row) -> None:
    network = plan_row(row)
    assert (network.weights, network.multiply_adds) == (row.weights, row.multiply_adds)


def test_sum_by_hand_gives_the_published_unet() -> None:
    assert count_unet(UNET, 2, norm=False) == 31_030_658


@EACH
def test_built_module_has_the_planned_weights_in_every_layer(row: Row) -> None:
    network, module = build_row(row)
    pairs = [*pair_up(network.layers, module.layers), *pair_up(network.head, module.head)]
    assert [leaf for leaf, _ in pairs] == list(network.leaves())
    for leaf, built in pairs:
        assert leaf.weights == count(built), f"{leaf.where} {leaf.name}"
    assert network.weights == row.weights == count(module)


@EACH
@pytest.mark.parametrize("num_images", [1, 2])
def test_built_module_puts_out_the_planned_shape(row: Row, num_images: int) -> None:
    network, module = build_row(row)
    with torch.inference_mode():
        output = module(torch.rand(num_images, *network.shape))
    assert output.shape == (num_images, *network.output_shape)
    assert output.isfinite().all()


@EACH
def test_header_states_the_weights_and_the_name_is_the_file(row: Row) -> None:
    text = (MODELS / f"{row.name}.yaml").read_text()
    header = " ".join(line for line in text.splitlines() if line.startswith("#"))
    assert f"{row.weights:,} weights" in header
    assert read_model(row)["name"] == row.name


def test_no_yaml_is_longer_than_60_lines() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "conf").rglob("*.yaml")}
    assert {name: length for name, length in lengths.items() if length > 60} == {}


def test_code_stays_small_enough_to_read() -> None:
    files = sorted((ROOT / "pipeline").rglob("*.py"))
    lines = {str(file.relative_to(ROOT)): file.read_text().splitlines() for file in files}
    assert {file: len(text) for file, text in lines.items() if len(text) > 300} == {}
    networks = [text for file, text in lines.items() if file.startswith("pipeline/networks/")]
    assert sum(bool(line.strip()) for text in networks for line in text) <= 900
