"""One row per architecture: figures from the paper or a sum by hand, against plan and built module."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from pipeline.data.facts import Facts
from pipeline.declaration.composition import compose_sections
from pipeline.errors import ConfigError
from pipeline.layers.containers import Auxiliary
from pipeline.networks.build import build, pair_modules
from pipeline.networks.planner import plan
from pipeline.plans.network import Network
from pipeline.tasks.classification.task import Classification
from pipeline.tasks.demands import load_demands
from pipeline.tasks.restoration.task import Restoration
from pipeline.tasks.segmentation.task import Segmentation
from pipeline.tasks.verification.task import Verification
from tests.makers import data_section
from tests.networks.row import Row
from tests.networks.rows_classic import CLASSIC
from tests.networks.rows_detectors import DETECTORS
from tests.networks.rows_embeddings import EMBEDDINGS
from tests.networks.rows_modern import MODERN
from tests.networks.rows_restoration import RESTORATION

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "conf" / "model"
ZOO = [*CLASSIC, *MODERN, *DETECTORS, *RESTORATION, *EMBEDDINGS]
EACH = pytest.mark.parametrize("row", ZOO, ids=lambda row: row.name)
SIDES = (64, 96)  # of small images; the first that a network takes
LARGE = 3_000_000  # weights; a larger network is built with a quarter of its filters
NUM_CLASSES = 3
CLASSES = ["a", "b", "c"]
TASKS: dict[str, Any] = {
    "classification": Classification(classes=CLASSES, label_smoothing=0.0, class_weights="none"),
    "segmentation": Segmentation(
        classes=CLASSES,
        background="a",
        ignore_label=None,
        dice_weight=1.0,
        dice_background=True,
        class_weights="none",
    ),
    "restoration": Restoration(degrade={"factor": 2}, loss="absolute"),
    "verification": Verification(
        loss="contrastive",
        mining="all",
        margin=1.0,
        dimensions=NUM_CLASSES,
        threshold=None,
        pair_weights=None,
    ),
}
DEMANDS = {name: load_demands({"_target_": f"{type(task).__module__}.Task"}) for name, task in TASKS.items()}


@cache
def read_model(name: str) -> dict[str, Any]:
    model: dict[str, Any] = compose_sections([f"model={name}"])["model"]
    return model


def plan_row(row: Row) -> Network:
    return plan(read_model(row.name), shape=row.shape, outputs=row.outputs)


@cache
def plan_small(row: Row) -> Network:
    """Plan a row for small images, with fewer filters where it is large."""
    model = dict(read_model(row.name))
    if row.weights > LARGE:
        model["width"] *= 0.25
    for side in SIDES:
        try:
            return plan(model, shape=(row.shape[0], side, side), outputs=NUM_CLASSES)
        except ConfigError:
            continue
    raise AssertionError(f"{row.name} takes no image of {SIDES}")


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def fitting(network: Network) -> list[str]:
    """Return the tasks whose outputs a network has for NUM_CLASSES classes."""
    facts = Facts(**data_section("data.zip", classes=CLASSES, degrade={"factor": 2}))
    settings = {"dimensions": NUM_CLASSES}
    return [
        name
        for name, demands in DEMANDS.items()
        if demands.accepts(network.output_shape, demands.output_shape(settings, facts, network.shape))
    ]


def make_target(name: str, images: Tensor) -> Tensor:
    """Return targets of a task for two images of random pixels from 0 to 1."""
    if name == "verification":
        return torch.tensor([0, 0])
    if name == "classification":
        return torch.tensor([0, 2])
    if name == "restoration":
        return images.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3).mul(255).byte()
    return images[:, 0].mul(NUM_CLASSES).long()


def test_every_yaml_has_its_row() -> None:
    assert sorted(path.stem for path in MODELS.glob("*.yaml")) == sorted(row.name for row in ZOO)


@EACH
def test_weights_and_multiply_adds_are_those_of_the_row(row: Row) -> None:
    network = plan_row(row)
    assert (network.weights, network.multiply_adds) == (row.weights, row.multiply_adds)


@EACH
def test_network_has_its_planned_weights_trains_a_step_and_evaluates_one_image(row: Row) -> None:
    network = plan_small(row)
    module = build(network, seed=0)
    for leaf, built in pair_modules(network, module):
        assert leaf.weights == count(built), f"{leaf.where} {leaf.name}"
    assert network.weights == count(module) - sum(leaf.weights for leaf in network.side_leaves())
    name = fitting(network)[0]  # the first, as embeddings may be any vector
    task = TASKS[name]
    images = torch.rand(2, *network.shape, generator=torch.Generator().manual_seed(0))
    batch = {"target": make_target(name, images), "image": images.mul(255).byte()}
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-6)
    before = next(module.parameters()).detach().clone()
    outputs = module.train()(images)
    assert outputs.shape == (2, *network.output_shape)
    loss = task.loss(outputs, batch)
    for head in (each for each in module.modules() if isinstance(each, Auxiliary)):
        loss = loss + head.weight * task.loss(head.take(), batch)
    loss.backward()
    optimizer.step()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in module.parameters())
    assert not torch.equal(before, next(module.parameters()))
    with torch.inference_mode():
        outputs = module.eval()(images[:1])
        evidence = task.evidence(outputs, {key: value[:1] for key, value in batch.items()})
    assert outputs.shape == (1, *network.output_shape)
    assert outputs.isfinite().all()
    assert len(evidence) == 1
    assert task.scores(evidence.numpy()).keys() >= {DEMANDS[name].score}


@EACH
def test_header_states_the_weights_and_the_name_is_the_file(row: Row) -> None:
    text = (MODELS / f"{row.name}.yaml").read_text()
    header = " ".join(line for line in text.splitlines() if line.startswith("#"))
    assert f"{row.weights:,} weights" in header
    assert yaml.safe_load(text)["name"].startswith(row.name)


def test_no_yaml_is_longer_than_60_lines() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "conf").rglob("*.yaml")}
    assert {name: length for name, length in lengths.items() if length > 60} == {}
