"""Auxiliary heads: their weighted loss joins in training, and nothing of them is left in evaluation."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import ConstantLR
from torch.utils.data import DataLoader

from pipeline.layers.containers import Auxiliary
from pipeline.networks.build import build, pair_modules
from pipeline.tasks.classification.task import Classification
from pipeline.training.learner import Learner, Row
from tests.plans.models import plan_lists

TASK = Classification(classes=["a", "b", "c"], label_smoothing=0.0, class_weights="none")
SIDE = [{"pool": "global"}, "flatten", {"linear": 5}, {"linear": "outputs"}]
STEM: list[Any] = [{"conv": 4, "norm": "batch"}, "pool"]
BLOCK: list[Any] = [{"residual": [{"conv": 4}]}]
HEAD = [{"pool": "global"}, "flatten", {"linear": "outputs"}]
WEIGHTS = [0.3, 2.0]

planned = partial(plan_lists, head=HEAD, shape=(1, 8, 8), outputs=3)
WITH = planned(
    [*STEM, {"auxiliary": SIDE, "weight": WEIGHTS[0]}, *BLOCK, {"auxiliary": SIDE, "weight": WEIGHTS[1]}]
)
WITHOUT = planned([*STEM, *BLOCK])


def learner_of(network: nn.Module) -> Learner:
    return Learner(
        network,
        task=TASK,
        make_optimizer=partial(SGD, lr=0.0),
        make_scheduler=partial(ConstantLR, factor=1.0),
        seed=0,
        on_epoch=lambda _: False,
    )


def batch_of(count: int = 6) -> dict[str, Tensor]:
    return {
        "image": torch.randn(count, 1, 8, 8, generator=torch.manual_seed(3)),
        "target": torch.arange(count) % 3,
    }


def side_heads(network: nn.Module) -> list[Auxiliary]:
    return [module for module in network.modules() if isinstance(module, Auxiliary)]


def twin_of(network: nn.Sequential) -> nn.Sequential:
    """Return the network without auxiliary heads, with the same weights and running statistics."""
    side = {id(leaf) for leaf in WITH.side_leaves()}
    ours = [module for leaf, module in pair_modules(WITH, network) if id(leaf) not in side]
    twin = build(WITHOUT, seed=9)
    for module, (_, other) in zip(ours, pair_modules(WITHOUT, twin), strict=True):
        other.load_state_dict(module.state_dict())
    return twin


def losses_by_hand(network: nn.Sequential, batch: dict[str, Tensor], key: str = "target") -> list[Tensor]:
    """Run the layers one by one, in training; return the loss of each head for `key`, the main one last."""
    x, losses = batch["image"], []
    for module in network.layers:
        if isinstance(module, Auxiliary):
            losses.append(nn.functional.cross_entropy(module.body(x), batch[key]))
        else:
            x = module(x)
    return [*losses, nn.functional.cross_entropy(network.head(x), batch[key])]


def test_loss_in_training_is_the_main_one_plus_the_weighted_others() -> None:
    learner = learner_of(build(WITH, seed=0)).train()
    first, second, main = losses_by_hand(build(WITH, seed=0).train(), batch_of())
    loss = learner.training_step(batch_of(), 0)
    torch.testing.assert_close(loss, main + WEIGHTS[0] * first + WEIGHTS[1] * second)
    assert first > 0
    assert second > 0


def test_every_head_counts_mixed_images_for_both_their_targets() -> None:
    share = 0.3
    batch = {**batch_of(), "partner": torch.tensor([1, 0, 0, 2, 2, 1]), "weight": torch.tensor(share)}
    own, others = (losses_by_hand(build(WITH, seed=0).train(), batch, key) for key in ("target", "partner"))
    first, second, main = (share * a + (1 - share) * b for a, b in zip(own, others, strict=True))
    loss = learner_of(build(WITH, seed=0)).train().training_step(batch, 0)
    torch.testing.assert_close(loss, main + WEIGHTS[0] * first + WEIGHTS[1] * second)
    assert all(abs(float((a - b).detach())) > 1e-3 for a, b in zip(own, others, strict=True))


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_gradient_of_a_side_head_is_scaled_by_its_weight(weight: float) -> None:
    network = build(planned([*STEM, {"auxiliary": SIDE, "weight": weight}, *BLOCK]), seed=0)
    learner_of(network).train().training_step(batch_of(), 0).backward()
    (head,) = side_heads(network)
    found = [parameter.grad for parameter in head.parameters()]
    alone = build(planned([*STEM, {"auxiliary": SIDE, "weight": weight}, *BLOCK]), seed=0).train()
    loss, _ = losses_by_hand(alone, batch_of())
    wanted = torch.autograd.grad(loss, list(side_heads(alone)[0].parameters()))
    torch.testing.assert_close(found, [weight * each for each in wanted])


def test_layers_before_a_side_head_learn_from_it_and_layers_behind_it_do_not() -> None:
    network = build(WITH, seed=0).train()
    network(batch_of()["image"])
    nn.functional.cross_entropy(side_heads(network)[0].take(), batch_of()["target"]).backward()
    learns = [any(p.grad is not None for p in module.parameters()) for module in network.layers]
    assert learns == [True, False, True, False, False]  # stem, pool, side head, block, side head
    assert all(parameter.grad is None for parameter in network.head.parameters())


def test_evaluation_puts_out_what_the_network_without_side_heads_does() -> None:
    network = build(WITH, seed=0).train()
    network(batch_of()["image"])  # moves the running statistics
    for head in side_heads(network):
        head.take()
    twin = twin_of(network)
    with torch.inference_mode():
        wanted, found = (each.eval()(batch_of()["image"]) for each in (twin, network))
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    assert WITH.weights == WITHOUT.weights == sum(p.numel() for p in twin.parameters())


def test_side_heads_are_not_even_run_in_evaluation() -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("run")

    network = build(WITH, seed=0)
    for head in side_heads(network):
        head.body = Fails()
    with torch.inference_mode():
        assert network.eval()(batch_of()["image"]).shape == (6, 3)
    with pytest.raises(RuntimeError, match=r"^run$"):
        network.train()(batch_of()["image"])


def test_outputs_of_a_side_head_are_taken_once_and_not_kept() -> None:
    head = Auxiliary(nn.Linear(2, 3), weight=0.5).train()
    x = torch.randn(4, 2)
    assert head(x) is x
    torch.testing.assert_close(head.take(), head.body(x))
    with pytest.raises(AssertionError, match=r"take\(\) needs a forward pass in training first"):
        head.take()
    head.eval()(x)
    with pytest.raises(AssertionError, match=r"take\(\) needs a forward pass in training first"):
        head.take()


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*", "ignore:.*number of training batches.*")
def test_recorded_losses_are_those_of_the_main_head(tmp_path: Path) -> None:
    def row_of(network: nn.Module) -> Row:
        batch = batch_of()
        samples: Any = [{key: value[index] for key, value in batch.items()} for index in range(6)]
        loaders = [DataLoader(samples, batch_size=3, generator=torch.Generator()) for _ in range(2)]
        learner = learner_of(network)
        pl.Trainer(
            accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_model_summary=False,
            enable_progress_bar=False, num_sanity_val_steps=0, default_root_dir=tmp_path,
        ).fit(learner, *loaders)  # fmt: skip
        return learner.history[0]

    network = build(WITH, seed=0)
    twin = twin_of(network)
    with_side, without = row_of(network), row_of(twin)
    measured = {key for key in without if key.startswith(("train/", "val/"))}
    assert {key: with_side[key] for key in measured} == pytest.approx({key: without[key] for key in measured})
    assert with_side["train/loss"] > 0


def test_plan_lists_a_side_head_apart() -> None:
    names = [leaf.name for leaf in WITH.side_leaves()]
    assert names == 2 * ["pool global", "flatten", "linear 5", "linear 3"]
    assert [leaf.name for leaf in WITH.leaves()] == [leaf.name for leaf in WITHOUT.leaves()]
