"""What is watched of a training: gradients, updates and activations of one step per epoch, and the largest loss.

The first step of each epoch is looked at, with hooks that are there for this step alone; figures are read only at the
end of the epoch, so that a GPU is not waited for. The figures join the epoch's row as `watch/...`:

gradient_norm           norm of the gradient over all weights, before it is clipped
update_ratio            norm of what the step changes over the norm of the weights: median over matrices and filters,
                        of each of which the first rows count
dead_units              largest share of units in a layer that put out 0 for all images of the batch
deadest_layer           the number of that layer in `watched_layers`
saturated               largest share of outputs of a layer that are as good as at its limits
most_saturated_layer    the number of that layer
largest_loss            of all steps of the epoch

Source: Karpathy and Fei-Fei, CS231n, lecture notes "Neural networks, part 3", for the ratio and the histograms.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pipeline.layers.containers import Gate
from pipeline.runs.folder import WATCH

RECTIFIERS: tuple[type[nn.Module], ...] = (nn.ReLU, nn.ReLU6)
# The limits of an activation, and how close to one an output counts as saturated: the slope there is at most 2 % of
# the largest.
LIMITS: dict[type[nn.Module], tuple[float, float, float]] = {
    nn.Tanh: (-1.0, 1.0, 0.01),
    nn.Sigmoid: (0.0, 1.0, 0.005),
    nn.Hardsigmoid: (0.0, 1.0, 0.0),
}
WATCHED: tuple[type[nn.Module], ...] = (*RECTIFIERS, *LIMITS)
MOST_WEIGHTS = (
    10_000  # of a layer that its ratio is measured on, since to copy all takes as long as a small step
)
Row = dict[str, float]


def watched_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return path and module of the activations that are watched; gates are meant to be open or closed."""
    gates = tuple(f"{path}." for path, module in model.named_modules() if isinstance(module, Gate))
    return [
        (path, module)
        for path, module in model.named_modules()
        if isinstance(module, WATCHED) and not path.startswith(gates)
    ]


class StepWatch:
    """Watches one step of each epoch.

    Args:
        model: that is trained.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = [module for _, module in watched_layers(model)]
        self._model = model
        self._handles: list[RemovableHandle] = []
        self._dead: dict[int, Tensor] = {}
        self._saturated: dict[int, Tensor] = {}
        self._weights: list[Tensor] = []
        self._before: list[Tensor] = []
        self._gradient_norm: Tensor | None = None
        self._ratios: Tensor | None = None
        self._largest_loss = float("-inf")

    def start_epoch(self) -> None:
        """Forget the epoch before."""
        self._dead, self._saturated, self._gradient_norm, self._ratios = {}, {}, None, None
        self._largest_loss = float("-inf")

    def start_step(self) -> None:
        """Look at the activations of the forward pass that follows."""
        self.end_step()
        self._handles = [
            module.register_forward_hook(self._hook(number)) for number, module in enumerate(self._layers)
        ]

    @torch.no_grad()
    def look_at_gradients(self) -> None:
        """Measure the gradient, and keep the weights as they are before the optimizer's step."""
        learnt = [each for each in self._model.parameters() if each.grad is not None]
        if not learnt:
            return
        norms = torch._foreach_norm([each.grad for each in learnt if each.grad is not None])
        self._gradient_norm = torch.linalg.vector_norm(torch.stack(norms).float())
        self._weights = [_first_rows(each.detach()) for each in learnt if each.ndim > 1]
        self._before = [each.clone() for each in self._weights]

    @torch.no_grad()
    def end_step(self) -> None:
        """Measure the update, and remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self._before:
            changes = torch._foreach_norm(torch._foreach_sub(self._weights, self._before))
            sizes = torch._foreach_norm(self._before)
            self._ratios = (torch.stack(changes) / torch.stack(sizes)).float()
            self._weights, self._before = [], []

    def note_loss(self, loss: float) -> None:
        """Note the loss of a step."""
        self._largest_loss = max(self._largest_loss, loss)

    def figures(self) -> Row:
        """Return the figures of the epoch by their names in its row."""
        row = {"largest_loss": self._largest_loss}
        if self._gradient_norm is not None:
            row["gradient_norm"] = float(self._gradient_norm)
        if self._ratios is not None:
            finite = [ratio for ratio in self._ratios.tolist() if ratio < float("inf")]
            row["update_ratio"] = median(finite) if finite else 0.0
        for name, layer, shares in (
            ("dead_units", "deadest_layer", self._dead),
            ("saturated", "most_saturated_layer", self._saturated),
        ):
            if shares:
                numbers = list(shares)
                found = torch.stack([shares[number] for number in numbers]).tolist()
                row[name] = max(found)
                row[layer] = float(numbers[found.index(row[name])])
        return {f"{WATCH}{name}": value for name, value in row.items()}

    def _hook(self, number: int) -> Callable[[nn.Module, Any, Tensor], None]:
        @torch.no_grad()
        def look(module: nn.Module, _: Any, output: Tensor) -> None:
            output = output.detach()
            if isinstance(module, RECTIFIERS):
                others = [axis for axis in range(output.ndim) if axis != 1]
                # No output is negative. On a CPU, the largest one of a channels-last map takes 40 times as long.
                self._dead[number] = (output.sum(dim=others) == 0).float().mean()
            else:
                low, high, near = next(limits for kind, limits in LIMITS.items() if isinstance(module, kind))
                at_limit = (output <= low + near) | (output >= high - near)
                self._saturated[number] = at_limit.float().mean()

        return look


def _first_rows(weights: Tensor) -> Tensor:
    """Return the first rows of a matrix, or the first filters, up to `MOST_WEIGHTS`, but at least one."""
    return weights[: max(1, MOST_WEIGHTS // weights[0].numel())]
