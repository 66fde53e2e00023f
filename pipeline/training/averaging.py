"""Averages of weights over training, which are validated, kept and exported in place of the weights themselves.

Sources: averages of the iterates, Polyak and Juditsky 1992, SIAM J. Control Optim. 30; an exponential moving average
(EMA) whose decay warms up as min(decay, (1 + n) / (10 + n)) after n steps, as in tf.train.ExponentialMovingAverage,
since the first weights weigh too much in short trainings; the mean of the last epochs (SWA), Izmailov et al. 2018,
arXiv:1803.05407; statistics of batch norms are measured anew for averaged weights, ibid. section 3.2, over at most 200
batches: thousands of images are enough, Wu and Johnson 2021, arXiv:2105.07576, section 3.
Unlike torch's `update_bn`, that measurement sees images as evaluation does, without dropout or auxiliary heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, get_swa_multi_avg_fn

from pipeline.layers.containers import Auxiliary
from pipeline.tasks.task import Batch
from pipeline.training.processes import average
from pipeline.transfer.norms import BatchNorm

KEY = "average"  # of the average in a checkpoint
MOST_BATCHES = 200  # that statistics of batch norms are measured on
MakeBatches = Callable[[int], Iterable[Batch]]


class Averaging:
    """An average of the weights of a model in training.

    It is no module, so that the optimizer, checkpoints and distributed training see the weights themselves alone; all
    processes average the same weights.

    Args:
        settings: {ema: decay per step} or {swa: number of last epochs}.
        max_epochs: of the training.
        batches: maps an epoch to the training batches that statistics of batch norms are measured on; each process has
            its share, of equal size.
        frozen: modules whose batch norms keep their statistics.
    """

    def __init__(
        self,
        settings: Mapping[str, float],
        *,
        max_epochs: int,
        batches: MakeBatches,
        frozen: Sequence[nn.Module] = (),
    ) -> None:
        self._decay = settings.get("ema")
        self._first_epoch = max_epochs - int(settings["swa"]) if "swa" in settings else 0
        self._batches = batches
        self._frozen = frozen
        self._averaged: AveragedModel | None = None
        self._state: dict[str, Any] | None = None

    def start(self, model: nn.Module) -> None:
        """Copy the model, which is on its device; go on from the state that was loaded before, if any."""
        frozen = {id(each) for module in self._frozen for each in module.modules()}
        names = {name for name, module in model.named_modules() if id(module) in frozen}
        make = self._update_ema if self._decay is not None else get_swa_multi_avg_fn()  # type: ignore[no-untyped-call]
        self._averaged = AveragedModel(model, multi_avg_fn=make)
        self._averaged.eval().requires_grad_(False)
        self._norms = list(_norms(self._averaged.module, without=names))
        if self._state is not None:
            self._averaged.load_state_dict(self._state)

    def end_step(self, model: nn.Module) -> None:
        """Add the weights after a step to a moving average."""
        if self._decay is not None:
            self._model.update_parameters(model)

    def end_epoch(self, model: nn.Module, epoch: int) -> None:
        """Add the weights after an epoch to a mean over epochs; measure the statistics of batch norms."""
        if self._decay is None and epoch >= self._first_epoch:
            self._model.update_parameters(model)
        if self.count and self._norms:
            self._measure_norms(epoch)

    @property
    def count(self) -> int:
        """How many weights have been averaged."""
        return int(self._model.n_averaged)

    def scored(self, model: nn.Module) -> nn.Module:
        """Return the model to validate: the averaged one as soon as there is one."""
        return self._model.module if self.count else model

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of the average."""
        return self._model.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep the state of a checkpoint until training starts, once the model is on its device."""
        self._state = state

    @property
    def _model(self) -> AveragedModel:
        assert self._averaged is not None, "start() comes first"
        return self._averaged

    def _update_ema(self, averaged: Any, current: Any, _: Tensor | int) -> None:
        assert self._decay is not None
        update = get_ema_multi_avg_fn(warmed_up(self._decay, self.count))  # type: ignore[no-untyped-call]
        update(averaged, current, 0)

    @torch.no_grad()
    def _measure_norms(self, epoch: int) -> None:
        """Replace running statistics by the mean over training batches, in single precision as in evaluation."""
        momenta = [norm.momentum for norm in self._norms]
        for norm in self._norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over batches
            norm.train()
        device = self._norms[0].running_mean.device  # type: ignore[union-attr]
        with torch.autocast(device.type, enabled=False):
            for batch in islice(self._batches(epoch), MOST_BATCHES):
                self._model.module(batch["image"].to(device))
        for norm, momentum in zip(self._norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()
            for statistic in (norm.running_mean, norm.running_var):
                assert statistic is not None
                average(statistic)


def warmed_up(decay: float, steps: int) -> float:
    """Return the decay of a moving average after a number of steps."""
    return min(decay, (1 + steps) / (10 + steps))


def kept_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights of a checkpoint that were validated: averaged ones, if there are any."""
    averaged = checkpoint.get(KEY)
    if averaged is not None and int(averaged["n_averaged"]):
        return _strip(averaged, "module.")
    return _strip(checkpoint["state_dict"], "model.")


def count_averaged(checkpoint: Mapping[str, Any]) -> int:
    """Return how many weights the kept weights of a checkpoint average; 0 if they are none of an average."""
    return int(checkpoint[KEY]["n_averaged"]) if KEY in checkpoint else 0


def _strip(state: Mapping[str, Any], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _norms(model: nn.Module, *, without: set[str]) -> Iterable[BatchNorm]:
    """Yield the batch norms with running statistics that evaluation uses, except for those of some names."""
    sides = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, Auxiliary))
    for name, module in model.named_modules():
        is_used = name not in without and not name.startswith(sides)
        if isinstance(module, BatchNorm) and module.track_running_stats and is_used:
            yield module
