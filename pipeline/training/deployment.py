"""A trained run as one file, ONNX or torch, that predicts without this package.

The file maps images to predictions: preprocessing, the views of the declaration, the network with its batch norms
folded, and decoding are inside. Resizing is not: Pillow rounds to whole grey levels between its two passes, whose order
depends on its version and on the sides, so that no graph agrees with every Pillow. The description that the file holds
says how to resize, see `description`.
Boxes and points are in pixels of the images before they were resized; such a file takes their sides, too.
Shapes: N images, H rows, W columns, C channels; files take (N, H, W, C), as arrays of Pillow are laid out.
"""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pipeline.data.resizing import find_parts, predictions_in_files
from pipeline.errors import ConfigError, StorageError
from pipeline.tasks.demands import load_demands
from pipeline.tasks.task import Relative
from pipeline.training.trained import Trained, load_model
from pipeline.transfer.folding import fold_norms
from pipeline.transforms.views import make_views, see

ABOUT = "convoy.json"  # the entry of both formats that holds the description; tells own files from those of others
INPUTS = ("images", "sides")  # names of the tensors of the graph; sides only where predictions are places
OUTPUT = "predictions"
EXAMPLES = 2  # images; a single one would fix the size of batches

Predict = Callable[..., NDArray[Any]]  # of images, and of their sides where predictions are places


@dataclass(frozen=True)
class Format:
    """A format of files.

    Args:
        name: for people.
        suffix: of its files.
        packages: that it needs beyond those of every installation.
        write: returns the contents of a file, given a program and its description.
        read: returns what predicts by the contents of a file, on the CPU.
    """

    name: str
    suffix: str
    packages: tuple[str, ...]
    write: Callable[[ExportedProgram, Mapping[str, Any]], bytes]
    read: Callable[[bytes], Predict]


class Deployed(nn.Module):
    """The model of a run with everything between resized images and predictions.

    Args:
        trained: its declaration says how images are seen.
    """

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        declaration = trained.declaration
        task, self._seen = trained.build_task(), declaration.input_shape[1:]
        sides = (declaration.data.shape[1], declaration.data.shape[2])
        self.model = fold_norms(load_model(trained))
        self.views = make_views(declaration.views, sides, self._seen)
        self.is_whole = sides == self._seen
        self._merge, self._decode = task.merge, task.decode
        self.places, self._rule = load_demands(declaration.task).places, declaration.data.resize
        self._pixels = task.sides if isinstance(task, Relative) else None
        self.requires_grad_(requires_grad=False)

    def forward(self, images: Tensor, sides: Tensor | None = None) -> Tensor:
        """Return the predictions for uint8 images (N, H, W, C).

        Args:
            sides: rows and columns of the images before they were resized (N, 2), if predictions are places, which are
                told in their pixels.
        """
        predictions = self._decode(self.outputs(images))
        if self.places is None:
            return predictions
        assert sides is not None, "places are told in pixels of images of these sides"
        original = sides.double()
        prepared = torch.stack([torch.scalar_tensor(side, dtype=torch.float64) for side in images.shape[1:3]])
        shown, target = find_parts(self._rule, original, prepared, library=torch)
        if self._pixels is not None:  # those of images of other sides than these may be
            target = target * (torch.tensor(self._pixels) / prepared).flip(0).repeat(2)
        found: Tensor = predictions_in_files(
            self.places, predictions.double(), original, shown, target, library=torch
        )
        return found.float()

    def outputs(self, images: Tensor) -> Tensor:
        """Return the outputs of the network for uint8 images (N, H, W, C), merged over the views."""
        images = images.permute(0, 3, 1, 2)
        if self.is_whole:  # views are not cropped, so that images may have any sides
            shown = [images.flip(-1) if view.is_mirrored else images for view in self.views]
        else:
            shown = [see(images, view, self._seen) for view in self.views]
        outputs = [self.model(each) for each in shown]
        return self._merge(outputs, [view.is_mirrored for view in self.views])


def trace(model: Deployed, images: Tensor) -> ExportedProgram:
    """Export a model for batches of any size, and for images of other sides where its network takes them.

    Args:
        images: `EXAMPLES` of them, uint8 (N, H, W, C).

    Raises:
        ConfigError: the network cannot be exported.
    """
    sides = () if model.places is None else (torch.tensor([images.shape[1:3]] * len(images)),)
    inputs, larger = (images, *sides), (images.repeat(1, 2, 2, 1), *sides)
    with warnings.catch_warnings(action="ignore"), torch.inference_mode():
        if model.is_whole and _takes(model, larger):
            with suppress(Exception):  # libraries raise many kinds
                program = _trace(model, inputs, num_free=3)
                if _takes(program.module(), larger):
                    return program
        try:
            return _trace(model, inputs, num_free=1)
        except Exception as reason:
            if StorageError.behind(reason) is not None:
                raise
            text = " ".join(str(reason).split())
            raise ConfigError("model", f"the network cannot be exported ({text[:300]})") from reason


def _trace(model: Deployed, inputs: tuple[Tensor, ...], *, num_free: int) -> ExportedProgram:
    """Export a model; the first axes of its images are free."""
    free = [dict.fromkeys(range(num_free), Dim.AUTO), {0: Dim.AUTO}]
    return torch.export.export(model, inputs, dynamic_shapes=free[: len(inputs)])


def _takes(model: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> bool:
    try:
        model(*inputs)
    except Exception:  # by a layer, or by a guard of torch.export
        return False
    return True


def input_sides(program: ExportedProgram) -> list[int | None]:
    """Return the rows and columns that a program takes; None for those of other images, too."""
    shape = next(node.meta["val"].shape for node in program.graph.nodes if node.name == INPUTS[0])
    return [side if isinstance(side, int) else None for side in shape[1:3]]


def check_packages(form: Format) -> None:
    """Raise a `ConfigError` if a package that a format needs is not installed."""
    missing = [name for name in form.packages if find_spec(name) is None]
    if missing:
        raise ConfigError(
            "python -m pipeline.export",
            f"{form.name} needs {', '.join(missing)}, not installed here",
            hint='pip install -e ".[onnx]", or export torch',
        )


def _to_torch(program: ExportedProgram, about: Mapping[str, Any]) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):
        torch.export.save(program, file, extra_files={ABOUT: json.dumps(about)})
    return file.getvalue()


def _from_torch(content: bytes) -> Predict:
    module = torch.export.load(io.BytesIO(content)).module()

    def predict(*inputs: NDArray[Any]) -> NDArray[Any]:
        predictions: NDArray[Any] = module(*map(torch.from_numpy, inputs)).numpy()
        return predictions

    return predict


def _to_onnx(program: ExportedProgram, about: Mapping[str, Any]) -> bytes:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # silences notes about torchvision
    try:
        with warnings.catch_warnings(action="ignore"):
            made: Any = torch.onnx.export(
                program, input_names=list(INPUTS), output_names=[OUTPUT], dynamo=True, verbose=False
            )
    except torch.onnx.errors.OnnxExporterError as reason:
        text = " ".join(str(reason).split())
        raise ConfigError(
            "model", f"ONNX has no such network ({text[:300]})", hint="export torch instead"
        ) from reason
    made.model.metadata_props[ABOUT] = json.dumps(about)
    content: bytes = made.model_proto.SerializeToString()
    return content


def _from_onnx(content: bytes) -> Predict:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def predict(*inputs: NDArray[Any]) -> NDArray[Any]:
        (predictions,) = session.run(None, dict(zip(INPUTS, inputs, strict=False)))
        return np.asarray(predictions)

    return predict


FORMATS = {
    "onnx": Format("ONNX", ".onnx", ("onnx", "onnxscript", "onnxruntime"), _to_onnx, _from_onnx),
    "torch": Format("torch", ".pt2", (), _to_torch, _from_torch),
}
