"""Remarks on a training in plain words: what goes wrong, and what to do about it.

A remark depends on the rows of the epochs so far alone, so a resumed training makes the same ones. Each rule speaks
once in a training. Thresholds are chosen so that a rule is silent where a training goes well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from statistics import median

Row = dict[str, float]

STILL_EPOCHS = 5  # shorter standstills happen while a schedule warms up
STILL = 0.02  # change of a loss that is none: an untrained network's varies more between initialisations
USUAL_RATIO = 1e-3  # of update to weight, CS231n
LOW_RATIO, HIGH_RATIO = 1e-5, 1e-1  # a hundred times off
SPIKE = 5.0  # loss of a step over the mean before: batches of an epoch differ by less
DEAD = 0.75  # share of dead units: more than half may be off for a whole batch in a sparse network
SATURATED = 0.5  # share of outputs at their limits, through which no gradient passes
FIRST_JUMP = 3  # epochs before which validation moves by nature
JUMP_OF_SPAN, JUMP_OF_SCORE = (
    0.25,
    0.1,
)  # a fall that counts, as a share of the range so far, and of the score
UNSTABLE = (
    1.2  # growth of the training loss between epochs that shows that it is not validation alone that moves
)


@dataclass(frozen=True)
class Watched:
    """What remarks need to know of a training beside its rows.

    Args:
        column: of the selecting score.
        sign: 1 if a higher score is better, -1 if a lower one is.
        layers: names of the activations, in the order of `watched_layers`.
        has_batch_norms: whether the network has any.
        is_averaged: whether averaged weights are validated.
        num_val: number of validation images.
    """

    column: str
    sign: int
    layers: Sequence[str]
    has_batch_norms: bool
    is_averaged: bool
    num_val: int


@dataclass(frozen=True)
class Remark:
    """A remark.

    Args:
        epoch: at whose end it is made, from 0.
        text: without the epoch.
    """

    epoch: int
    text: str

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}: {self.text}"


class Remarks:
    """Collects the remarks on a training as it goes on.

    Args:
        alarms: maps the row of an epoch to what the task finds wrong; these are told in the first of the epochs in a
            row that have any. None for a task without.
    """

    def __init__(self, watched: Watched, alarms: Callable[[Row], Sequence[str]] | None = None) -> None:
        self._watched = watched
        self._alarms = alarms
        self._is_alarmed = False
        self._seen = 0
        self._made: dict[Callable[[Sequence[Row], Watched], str], Remark] = {}
        self._alarmed: list[Remark] = []

    def update(self, history: Sequence[Row]) -> list[Remark]:
        """Apply the rules to the epochs that are new in a history; return the remarks on the last one."""
        for count in range(self._seen + 1, len(history) + 1):  # several after a training is resumed
            for rule in RULES:
                text = "" if rule in self._made else rule(history[:count], self._watched)
                if text:
                    self._made[rule] = Remark(count - 1, text)
            alarms = [] if self._alarms is None else self._alarms(history[count - 1])
            if not self._is_alarmed:
                self._alarmed += [Remark(count - 1, text) for text in alarms]
            self._is_alarmed = bool(alarms)
        self._seen = len(history)
        return [remark for remark in self._all() if remark.epoch == len(history) - 1]

    def of(self, history: Sequence[Row]) -> list[Remark]:
        """Return all remarks on a history, in the order of their epochs."""
        self.update(history)
        return sorted(self._all(), key=lambda remark: remark.epoch)

    def _all(self) -> list[Remark]:
        return [*self._made.values(), *self._alarmed]


def find_still_loss(history: Sequence[Row], _: Watched) -> str:
    """Notice a training loss that has not fallen since the first epoch; of large updates, another rule speaks."""
    losses = [row["train/loss"] for row in history]
    recent = losses[-STILL_EPOCHS:]
    if len(losses) <= STILL_EPOCHS or min(recent) < (1 - STILL) * losses[0]:
        return ""
    head = f"the loss has not moved for {STILL_EPOCHS} epochs"
    ratio = median(row.get("watch/update_ratio", 0.0) for row in history[-STILL_EPOCHS:])
    usual = f"a step changes the weights by {ratio:.1g} of their size, about {USUAL_RATIO:g} is usual"
    if ratio < LOW_RATIO:
        return f"{head}: optimizer.lr is too low ({usual}); try ten times as much"
    if ratio > HIGH_RATIO:
        return ""
    return f"{head}: optimizer.lr is too low or too high ({usual}), or the data carry no signal; look at the preview"


def find_large_updates(history: Sequence[Row], _: Watched) -> str:
    """Notice steps that change the weights by a large share of their size."""
    ratios = [row.get("watch/update_ratio", 0.0) for row in history[-2:]]
    if len(ratios) < 2 or min(ratios) <= HIGH_RATIO:
        return ""
    return (
        f"a step changes the weights by {ratios[-1]:.1g} of their size, about {USUAL_RATIO:g} is usual: optimizer.lr "
        "is too high; try a tenth"
    )


def find_spike(history: Sequence[Row], _: Watched) -> str:
    """Notice a step whose loss is far above the mean of the epoch before, and above all that training began with."""
    if len(history) < 2:
        return ""
    largest, before = history[-1].get("watch/largest_loss", 0.0), history[-2]["train/loss"]
    start = max(history[0]["train/loss"], history[0].get("watch/largest_loss", 0.0))
    if largest <= SPIKE * before or largest <= start:
        return ""
    norm = median(row.get("watch/gradient_norm", 0.0) for row in history)
    return (
        f"the loss of a step was {largest:.3g}, after a mean of {before:.3g} in the epoch before: single batches move "
        f"the weights too far; set trainer.gradient_clip near the usual norm of the gradient, {norm:.2g}, or lower "
        "optimizer.lr"
    )


def find_jump(history: Sequence[Row], watched: Watched) -> str:
    """Notice a validation score that falls from one epoch to the next by far more than chance."""
    if len(history) <= FIRST_JUMP or any(isnan(row[watched.column]) for row in history[-2:]):
        return ""
    scores = [row[watched.column] for row in history if not isnan(row[watched.column])]
    fall = watched.sign * (scores[-2] - scores[-1])
    least = [JUMP_OF_SPAN * (max(scores) - min(scores)), JUMP_OF_SCORE * abs(scores[-2])]
    if min(scores) >= 0 and max(scores) <= 1:
        mean = (scores[-2] + scores[-1]) / 2
        # The largest standard error of a mean of numbers from 0 to 1 (Bhatia and Davis 2000, theorem 1).
        least.append((mean * (1 - mean) / watched.num_val) ** 0.5)
    if fall <= max(least):
        return ""
    head = f"validation jumps: {watched.column} went from {scores[-2]:.3g} to {scores[-1]:.3g} in one epoch"
    way_out = "try a tenth" if watched.is_averaged else "try a tenth, or trainer.average={ema: 0.999}"
    if history[-1]["train/loss"] > UNSTABLE * history[-2]["train/loss"]:
        return f"{head}, and the training loss rose, too: optimizer.lr is too high; {way_out}"
    if watched.has_batch_norms and not watched.is_averaged:
        return f"{head}: the learning rate is high for the running statistics of batch norms; {way_out}"
    return f"{head}: the learning rate is high for weights to settle; {way_out}"


def find_dead_units(history: Sequence[Row], watched: Watched) -> str:
    """Notice a layer of which most units put out 0 for all images of a batch, in two epochs."""
    layer = _repeated(history, "dead_units", "deadest_layer", DEAD)
    if layer is None:
        return ""
    return (
        f"{history[-1]['watch/dead_units']:.0%} of the units of {watched.layers[layer]} are dead: they put out 0 for "
        "all images of a batch, and learn nothing; lower optimizer.lr, or set model.activation={leaky_relu: 0.01}"
    )


def find_saturated(history: Sequence[Row], watched: Watched) -> str:
    """Notice a layer of which most outputs are at their limits, in two epochs."""
    layer = _repeated(history, "saturated", "most_saturated_layer", SATURATED)
    if layer is None:
        return ""
    return (
        f"{history[-1]['watch/saturated']:.0%} of the outputs of {watched.layers[layer]} are saturated, and pass "
        "hardly any gradient on; lower optimizer.lr, or set model.activation=relu"
    )


def find_no_gradient(history: Sequence[Row], _: Watched) -> str:
    """Notice a gradient of zero in two epochs."""
    norms = [row.get("watch/gradient_norm", 1.0) for row in history[-2:]]
    if len(norms) < 2 or max(norms) > 0:
        return ""
    return "the gradient of all weights is 0, so nothing is learnt: a layer passes none on, or the task has no loss"


def _repeated(history: Sequence[Row], name: str, layer: str, least: float) -> int | None:
    """Return the number of the layer in which a share was at least so large in the last two epochs; None if in none."""
    rows = history[-2:]
    shares = [row.get(f"watch/{name}", 0.0) for row in rows]
    layers = {row.get(f"watch/{layer}") for row in rows}
    is_found = len(rows) == 2 and min(shares) >= least and len(layers) == 1
    return int(rows[-1][f"watch/{layer}"]) if is_found else None


RULES = (
    find_still_loss,
    find_no_gradient,
    find_large_updates,
    find_spike,
    find_jump,
    find_dead_units,
    find_saturated,
)
