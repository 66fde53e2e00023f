"""Five points of a face by the networks of MTCNN, with the weights of the package facenet-pytorch (MIT).

Source: Zhang et al. 2016, arXiv:1604.02878; numbers and conventions are those of facenet-pytorch 2.6.0, which itself
cannot be imported without torchvision. All is computed in double precision, so that machines agree far beyond what is
written down.
Shapes: n boxes (n, 4) x_min, y_min, x_max, y_max; images (1, 3, H, W) from 0 to 255; points (n, 5, 2), x and y of both
eyes, the nose and both ends of the mouth, the one at the left of the picture first.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.boxes.nms import suppress

LEAST_SIDE, FACTOR = 20, 0.709  # of faces in pixels; between neighbouring scales
THRESHOLDS = (0.6, 0.7, 0.7)  # of the three networks
STRIDE, CELL = 2, 12  # of the first one
NAMES = ("pnet", "rnet", "onet")

Weights = Mapping[str, Tensor]
Networks = Mapping[str, Weights]


def load_networks() -> Networks:
    """Return the weights of the three networks in double precision.

    Raises:
        ModuleNotFoundError: facenet-pytorch is not installed.
    """
    spec = find_spec("facenet_pytorch")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("No module named 'facenet_pytorch'", name="facenet_pytorch")
    folder = Path(spec.origin).parent / "data"
    read = {name: torch.load(folder / f"{name}.pt", weights_only=True, map_location="cpu") for name in NAMES}
    return {name: {key: value.double() for key, value in weights.items()} for name, weights in read.items()}


@torch.inference_mode()
def find_points(image: Tensor, networks: Networks) -> Tensor | None:
    """Return the points of the most certain face, (5, 2); None without a face."""
    boxes = _square(_propose(image, networks["pnet"]))
    for name, threshold, side in (("rnet", THRESHOLDS[1], 24), ("onet", THRESHOLDS[2], 48)):
        if not len(boxes):
            return None
        boxes = boxes.trunc()
        shown = _cut(image, boxes, side)
        scores, shifts, points = (_refine if name == "rnet" else _place)(shown, networks[name])
        is_face = scores > threshold
        boxes, scores, shifts, points = (each[is_face] for each in (boxes, scores, shifts, points))
        if name == "onet":
            break
        keep = suppress(boxes, scores, threshold=0.7)
        boxes = _square(_shift(boxes[keep], shifts[keep], more=1))
    if not len(boxes):
        return None
    best = int(scores.argmax())
    left, top, right, bottom = boxes[best]
    along, down = points[best, :5], points[best, 5:]
    return torch.stack((along * (right - left + 1) + left - 1, down * (bottom - top + 1) + top - 1), dim=1)


def _propose(image: Tensor, weights: Weights) -> Tensor:
    """Return the boxes that the first network finds at all scales."""
    height, width = image.shape[2:]
    scale, found = CELL / LEAST_SIDE, []
    while min(height, width) * scale >= CELL:
        sides = (int(height * scale + 1), int(width * scale + 1))
        scores, shifts = _look(functional.interpolate(image, sides, mode="area"), weights)
        rows, columns = torch.nonzero(scores >= THRESHOLDS[0], as_tuple=True)
        corners = torch.stack((columns, rows), dim=1).double() * STRIDE
        boxes = torch.cat((((corners + 1) / scale).floor(), ((corners + CELL) / scale).floor()), dim=1)
        keep = suppress(boxes, scores[rows, columns], threshold=0.5)
        found.append(
            torch.cat((boxes, scores[rows, columns][:, None], shifts[:, rows, columns].T), dim=1)[keep]
        )
        scale *= FACTOR
    rows_found = torch.cat(found)
    kept = suppress(rows_found[:, :4], rows_found[:, 4], threshold=0.7)
    return _shift(rows_found[kept, :4], rows_found[kept, 5:], more=0)


def _look(image: Tensor, weights: Weights) -> tuple[Tensor, Tensor]:
    """Return the probability of a face at each place (H, W), and where its box lies (4, H, W)."""
    seen = _convolve(_normalise(image), weights, 1, pool=2)
    seen = _convolve(_convolve(seen, weights, 2), weights, 3)
    scores = functional.conv2d(seen, weights["conv4_1.weight"], weights["conv4_1.bias"]).softmax(dim=1)
    shifts = functional.conv2d(seen, weights["conv4_2.weight"], weights["conv4_2.bias"])
    return scores[0, 1], shifts[0]


def _refine(images: Tensor, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """Return probabilities (n,), shifts of boxes (n, 4), and no points."""
    seen = _convolve(_normalise(images), weights, 1, pool=3)
    seen = _convolve(_convolve(seen, weights, 2, pool=3), weights, 3)
    seen = _connect(seen, weights, 4)
    scores = _linear(seen, weights, "dense5_1").softmax(dim=1)[:, 1]
    return scores, _linear(seen, weights, "dense5_2"), scores[:, None]


def _place(images: Tensor, weights: Weights) -> tuple[Tensor, Tensor, Tensor]:
    """Return probabilities (n,), shifts of boxes (n, 4), and points as shares of the box: five x, then five y."""
    seen = _convolve(_normalise(images), weights, 1, pool=3)
    seen = _convolve(_convolve(seen, weights, 2, pool=3), weights, 3, pool=2)
    seen = _connect(_convolve(seen, weights, 4), weights, 5)
    scores = _linear(seen, weights, "dense6_1").softmax(dim=1)[:, 1]
    return scores, _linear(seen, weights, "dense6_2"), _linear(seen, weights, "dense6_3")


def _normalise(images: Tensor) -> Tensor:
    return (images - 127.5) * 0.0078125


def _convolve(seen: Tensor, weights: Weights, number: int, *, pool: int = 0) -> Tensor:
    seen = functional.conv2d(seen, weights[f"conv{number}.weight"], weights[f"conv{number}.bias"])
    seen = functional.prelu(seen, weights[f"prelu{number}.weight"])
    return functional.max_pool2d(seen, pool, 2, ceil_mode=True) if pool else seen


def _connect(seen: Tensor, weights: Weights, number: int) -> Tensor:
    flat = seen.permute(0, 3, 2, 1).flatten(1)  # columns before rows, as the weights were trained
    return functional.prelu(_linear(flat, weights, f"dense{number}"), weights[f"prelu{number}.weight"])


def _linear(seen: Tensor, weights: Weights, name: str) -> Tensor:
    return functional.linear(seen, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _cut(image: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Return what lies in boxes, cut at the borders of the image, as squares (n, 3, side, side)."""
    height, width = image.shape[2:]
    shown = []
    for left, top, right, bottom in boxes.long().tolist():
        part = image[..., max(top, 1) - 1 : min(bottom, height), max(left, 1) - 1 : min(right, width)]
        shown.append(functional.interpolate(part, (side, side), mode="area"))
    return torch.cat(shown)


def _shift(boxes: Tensor, shifts: Tensor, *, more: int) -> Tensor:
    """Return boxes whose corners are moved by shares of their sides.

    Args:
        more: pixels that are added to the sides.
    """
    return boxes + shifts * (boxes[:, 2:] - boxes[:, :2] + more).repeat(1, 2)


def _square(boxes: Tensor) -> Tensor:
    """Return squares around the centres of boxes, as wide as their longer side."""
    centres, sides = (
        (boxes[:, :2] + boxes[:, 2:]) / 2,
        (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True),
    )
    return torch.cat((centres - sides / 2, centres + sides / 2), dim=1)
