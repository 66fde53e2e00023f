"""The grid of a one-stage detector: each cell predicts a box, a confidence and classes for each of its anchors.

An object belongs to the cell that its centre lies in, and to the anchor whose shape has the best IoU with its own.
Source: Redmon and Farhadi 2016, arXiv:1612.08242, section 2, "Direct location prediction".
Shapes: N images, A anchors, K classes, S x S' cells, B objects of an image; outputs (N, A (5 + K), S, S'), by anchor:
t_x, t_y, t_w, t_h, the logit of an object, and the logits of the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST = 6.0  # of t_w and t_h: 400 times the anchor, before exp overflows


@dataclass(frozen=True)
class Guess:
    """The predictions of all cells of a grid.

    Args:
        boxes: (N, A, S, S', 4), x_min, y_min, x_max, y_max in pixels.
        objectness: (N, A, S, S') logits.
        classes: (N, A, S, S', K) logits.
    """

    boxes: Tensor
    objectness: Tensor
    classes: Tensor


@dataclass(frozen=True)
class Assigned:
    """The predictions that objects belong to, for the n objects that are not lost.

    Args:
        places: image, anchor, row and column of each, (n,).
        objects: their rows of the targets, (n, 6).
        is_similar: (N, A, S, S') whether an anchor that is not an object's best one is close to its shape.
    """

    places: tuple[Tensor, Tensor, Tensor, Tensor]
    objects: Tensor
    is_similar: Tensor


class Grid:
    """A grid with anchors.

    Args:
        anchors: width and height of each anchor in pixels.
        stride: pixels of the image for each cell, along rows and columns.
        num_classes: K.
    """

    def __init__(self, anchors: Sequence[Sequence[float]], *, stride: int, num_classes: int) -> None:
        self.anchors = torch.tensor(anchors, dtype=torch.float32)  # (A, 2)
        self.stride = stride
        self.num_classes = num_classes

    def decode(self, outputs: Tensor) -> Guess:
        """Return boxes: centres (sigmoid(t) + cell) x stride, sides anchor x exp(t)."""
        outputs = outputs.float()
        count, _, rows, columns = outputs.shape
        parts = outputs.reshape(count, len(self.anchors), 5 + self.num_classes, rows, columns)
        parts = parts.permute(0, 1, 3, 4, 2)
        x = torch.arange(columns, device=outputs.device, dtype=torch.float32).expand(rows, columns)
        y = torch.arange(rows, device=outputs.device, dtype=torch.float32)[:, None].expand(rows, columns)
        centres = (parts[..., :2].sigmoid() + torch.stack((x, y), dim=-1)) * self.stride
        anchors = self.anchors.to(outputs.device)[:, None, None]
        half = anchors * parts[..., 2:4].clamp(max=LARGEST).exp() / 2
        return Guess(torch.cat((centres - half, centres + half), dim=-1), parts[..., 4], parts[..., 5:])

    def assign(self, targets: Tensor, shape: torch.Size, *, similar: float) -> Assigned:
        """Return which predictions objects belong to; of several that share one, the first.

        Args:
            targets: (N, B, 6): box, class, and whether it is to be ignored; class -1 for none.
            shape: of the outputs.
            similar: IoU of shapes from which on an anchor that is not the best one is close to an object.
        """
        count, _, rows, columns = shape
        num_anchors = len(self.anchors)
        sides = targets[..., 2:4] - targets[..., :2]
        cells = ((targets[..., :2] + targets[..., 2:4]) / 2 / self.stride).long()
        x, y = cells[..., 0].clamp(0, columns - 1), cells[..., 1].clamp(0, rows - 1)
        anchors = self.anchors.to(targets.device)
        common = torch.minimum(sides[..., None, :], anchors).prod(dim=-1)
        ious = common / (sides.prod(dim=-1)[..., None] + anchors.prod(dim=-1) - common)  # (N, B, A)
        image, place = ((targets[..., 4] >= 0) & (targets[..., 5] <= 0)).nonzero(as_tuple=True)
        best, fits = ious[image, place].argmax(dim=-1), ious[image, place] > similar
        x, y = x[image, place], y[image, place]

        is_similar = torch.zeros(count, rows, columns, num_anchors, dtype=torch.int, device=targets.device)
        is_similar.index_put_((image, y, x), fits.int(), accumulate=True)
        flat = ((image * num_anchors + best) * rows + y) * columns + x
        order = torch.arange(len(flat), device=targets.device)
        first = torch.full((count * num_anchors * rows * columns,), len(flat), device=targets.device)
        first.scatter_reduce_(0, flat, order, "amin")
        kept = first[flat] == order
        return Assigned(
            (image[kept], best[kept], y[kept], x[kept]),
            targets[image[kept], place[kept]],
            (is_similar > 0).permute(0, 3, 1, 2),
        )
