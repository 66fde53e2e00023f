"""Export of a model, batch norms folded and in single precision, as a graph that loads without this package."""

from __future__ import annotations

import io
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.network import plan_network
from pipeline.errors import ConfigError, StorageError
from pipeline.tasks.task import Decoded
from pipeline.training.assemble import arrange, build_model, build_task
from pipeline.transfer.folding import fold_norms
from pipeline.transforms.settings import find_tile
from pipeline.transforms.statistics import Statistics, Whitening

EXAMPLES = 2  # images; a single one would fix the size of batches


def export(model: Decoded, images: Tensor) -> tuple[nn.Module, NDArray[np.generic]]:
    """Return a model ready for export, and what it returns for example images."""
    exported = fold_norms(model.eval())
    with torch.inference_mode():
        outputs: NDArray[np.generic] = exported(images).numpy()
    return exported, outputs


def check_export(declaration: Declaration) -> None:
    """Export the untrained network as the trained one will be, so that no training ends without its model.

    Random generators are left as they are.

    Raises:
        ConfigError: the network cannot be exported.
    """
    if not declaration.tracking.log_model:
        return
    planned = plan_network(declaration)
    if planned.is_image:
        problem = f"model {planned.name} is one image, and applies to no other"
        raise ConfigError("tracking.log_model", problem, got=True, hint="set it to false")
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
        network = arrange(build_model(declaration, _plain_statistics(declaration)), declaration.trainer)
        model = Decoded(network, build_task(declaration))
        images = torch.zeros((EXAMPLES, *declaration.input_shape), dtype=torch.uint8)
        try:
            exported, _ = export(model, images)
            program = torch.export.export(exported, (images,), dynamic_shapes=[{0: torch.export.Dim.AUTO}])
            torch.export.save(program, io.BytesIO())
        except Exception as reason:  # libraries raise many kinds
            if StorageError.behind(reason) is not None:
                raise
            text = " ".join(str(reason).split())
            raise ConfigError(
                "tracking.log_model",
                f"the network cannot be exported ({type(reason).__name__}: {text[:300]})",
                got=True,
                hint="set tracking.log_model=false to train it without logging its model",
            ) from reason


def _plain_statistics(declaration: Declaration) -> Statistics:
    """Return statistics of the declared shape, which those of the data need not be measured for."""
    channels, rows, columns = declaration.data.shape
    tile = find_tile(declaration.preprocess, (channels, rows, columns))
    size = 0 if tile is None else channels * tile[0] * tile[1]
    return Statistics(
        mean=[0.5] * channels,
        deviation=[0.25] * channels,
        covariance=np.eye(channels).tolist(),
        pixels=1,
        mean_image=np.full((rows, columns, channels), 0.5),
        whitening=Whitening(np.zeros(size), np.ones(size), np.eye(size)) if size else None,
    )
