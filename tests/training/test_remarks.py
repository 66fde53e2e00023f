"""Remarks on a training: what each rule speaks on, what it is silent on, and that it speaks once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import nan
from typing import Any

import pytest

from pipeline.training.remarks import (
    RULES,
    Remarks,
    Watched,
    find_dead_units,
    find_jump,
    find_large_updates,
    find_no_gradient,
    find_saturated,
    find_spike,
    find_still_loss,
)

Rule = Callable[[Sequence[dict[str, float]], Watched], str]
WATCHED = Watched("val/dice", 1, ["a", "b"], has_batch_norms=True, is_averaged=False, num_val=15)


def rows(**columns: Sequence[float]) -> list[dict[str, float]]:
    """Return the rows of a training that goes well, with some columns changed."""
    count = max(map(len, columns.values()))
    good: dict[str, Sequence[float]] = {
        "train_loss": [1 / (1 + epoch) for epoch in range(count)],
        "val_dice": [1 - 0.5 / (1 + epoch) for epoch in range(count)],
        "watch_gradient_norm": [1.0] * count,
        "watch_update_ratio": [1e-3] * count,
        "watch_largest_loss": [1.5 / (1 + epoch) for epoch in range(count)],
        "watch_dead_units": [0.1] * count,
        "watch_deadest_layer": [1.0] * count,
        "watch_saturated": [0.1] * count,
        "watch_most_saturated_layer": [0.0] * count,
    }
    found = {key.replace("_", "/", 1): values for key, values in (good | columns).items()}
    return [{key: values[epoch] for key, values in found.items()} for epoch in range(count)]


STILL = [2.3, 2.31, 2.29, 2.3, 2.28, 2.3]
BRAIN = [0.54, 0.58, 0.66, 0.46]
JUMP = "validation jumps: val/dice went from 0.66 to 0.46 in one epoch"
EMA = "trainer.average={ema: 0.999}"
SPEAKS: list[tuple[Rule, list[dict[str, float]], str]] = [
    (
        find_still_loss,
        rows(train_loss=STILL),
        "the loss has not moved for 5 epochs: optimizer.lr is too low or too high (a step changes the weights by 0.001 "
        "of their size, about 0.001 is usual), or the data carry no signal; look at the preview",
    ),
    (
        find_still_loss,
        rows(train_loss=STILL, watch_update_ratio=[1e-7] * 6),
        "the loss has not moved for 5 epochs: optimizer.lr is too low (a step changes the weights by 1e-07 of their "
        "size, about 0.001 is usual); try ten times as much",
    ),
    (
        find_no_gradient,
        rows(watch_gradient_norm=[0.0, 0.0]),
        "the gradient of all weights is 0, so nothing is learnt: a layer passes none on, or the task has no loss",
    ),
    (
        find_large_updates,
        rows(train_loss=STILL, watch_update_ratio=[0.2, *[0.3] * 5]),
        "a step changes the weights by 0.3 of their size, about 0.001 is usual: optimizer.lr is too high; try a tenth",
    ),
    (
        find_spike,
        rows(watch_largest_loss=[1.5, 0.7, 9.0]),
        "the loss of a step was 9, after a mean of 0.5 in the epoch before: single batches move the weights too far; "
        "set trainer.gradient_clip near the usual norm of the gradient, 1, or lower optimizer.lr",
    ),
    (
        find_jump,
        rows(val_dice=BRAIN),
        f"{JUMP}: the learning rate is high for the running statistics of batch norms; try a tenth, or {EMA}",
    ),
    (
        find_jump,
        rows(val_dice=BRAIN, train_loss=[0.9, 0.5, 0.4, 0.8]),
        f"{JUMP}, and the training loss rose, too: optimizer.lr is too high; try a tenth, or {EMA}",
    ),
    (
        find_dead_units,
        rows(watch_dead_units=[0.9, 0.8]),
        "80% of the units of b are dead: they put out 0 for all images of a batch, and learn nothing; lower "
        "optimizer.lr, or set model.activation={leaky_relu: 0.01}",
    ),
    (
        find_saturated,
        rows(watch_saturated=[0.9, 0.8]),
        "80% of the outputs of a are saturated, and pass hardly any gradient on; lower optimizer.lr, or set "
        "model.activation=relu",
    ),
]


@pytest.mark.parametrize(("rule", "history", "text"), SPEAKS)
def test_rule_speaks_of_what_it_is_for_and_no_other_does(
    rule: Rule, history: list[dict[str, float]], text: str
) -> None:
    assert {each.__name__: each(history, WATCHED) for each in RULES if each(history, WATCHED)} == {
        rule.__name__: text
    }


def test_every_rule_speaks_somewhere() -> None:
    assert {rule for rule, _, _ in SPEAKS} == set(RULES)


SILENT: dict[str, list[dict[str, float]]] = {
    "training that goes well": rows(val_dice=[0.5, 0.7, 0.8, 0.85, 0.84, 0.86, 0.86]),
    "loss that stands still at its end": rows(train_loss=[2.0, 0.5, *[0.1] * 9]),
    "loss that stood still at first": rows(train_loss=[*STILL[:5], 1.9]),
    "spike that is no larger than the start": rows(watch_largest_loss=[20.0, 0.7, 9.0]),
    "one layer that is dead once": rows(watch_dead_units=[0.1, 0.9]),
    "dead units in turns": rows(watch_dead_units=[0.9, 0.9], watch_deadest_layer=[0.0, 1.0]),
    "large updates of the first step": rows(watch_update_ratio=[0.5, 0.01]),
    "jump of the first epochs": rows(val_dice=[0.6, 0.9, 0.3]),
    "fall that chance explains": rows(val_dice=[0.5, 0.6, 0.7, 0.59]),
    "score that is not defined": rows(val_dice=[0.5, nan, 0.9, nan]),
    "weights that hardly change at the end of a schedule": rows(watch_update_ratio=[1e-3] * 5 + [1e-9] * 5),
}


@pytest.mark.parametrize("name", SILENT)
def test_rules_are_silent(name: str) -> None:
    history = SILENT[name]
    for count in range(1, len(history) + 1):
        assert [rule(history[:count], WATCHED) for rule in RULES] == [""] * len(RULES)


def test_fall_is_a_rise_where_lower_is_better_and_its_unit_does_not_matter() -> None:
    errors = replace(WATCHED, sign=-1)
    for unit in (1, 100, 0.01):
        falls = rows(val_dice=[unit * value for value in (0.9, 0.5, 0.3, 0.7)])
        assert "went from" in find_jump(falls, replace(errors, num_val=1000))
        assert not find_jump(falls, replace(WATCHED, num_val=1000))


@pytest.mark.parametrize(
    ("changed", "end"),
    [
        ({"has_batch_norms": False}, f"for weights to settle; try a tenth, or {EMA}"),
        ({"is_averaged": True}, "for weights to settle; try a tenth"),
    ],
    ids=["no batch norms", "averaged"],
)
def test_advice_fits_the_declaration(changed: dict[str, Any], end: str) -> None:
    assert find_jump(rows(val_dice=BRAIN), replace(WATCHED, **changed)).endswith(end)


def test_rule_speaks_once_whether_epochs_come_one_by_one_or_together() -> None:
    history = rows(val_dice=[*BRAIN, 0.8, 0.5, 0.8, 0.5], watch_dead_units=[0.9] * 8)
    slow, fast = Remarks(WATCHED), Remarks(WATCHED)
    said = [list(map(str, slow.update(history[:count]))) for count in range(1, 9)]
    assert [len(each) for each in said] == [0, 1, 0, 1, 0, 0, 0, 0]
    assert fast.update(history) == [], "they belong to earlier epochs"
    assert (
        [str(each) for each in fast.of(history)]
        == [str(each) for each in slow.of(history)]
        == said[1] + said[3]
    )
    assert said[1][0].startswith("epoch 2: 90% of the units")
    assert said[3][0].startswith("epoch 4: validation jumps")
