"""The model that a run logs to MLflow: an exported graph for `mlflow.pytorch`, and what serves it for `mlflow.pyfunc`.

The latter takes files as well as pixels, which no signature of MLflow can say; so the logged model has none, and
`convoy.json` beside the graph describes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import numpy as np
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from pipeline.data import depth, resizing
from pipeline.tracking import convoy_serving

# Nothing looks a logged model up by its name, so names need not be read back.
REPLACED = str.maketrans({".": "\N{MIDDLE DOT}", "/": "-", ":": "", "%": "", '"': "", "'": ""})
DATA, MLMODEL = "data", "MLmodel"  # names that MLflow gives
COPIES = {
    "convoy_depth.py": Path(depth.__file__),
    "convoy_resizing.py": Path(resizing.__file__),
}  # what `convoy_serving` imports there


def model_name(run: str) -> str:
    """Return the name of a run's model, in which MLflow takes none of `/ : . % " '`."""
    return run.translate(REPLACED) or "model"


def _sign(example: NDArray[np.uint8], outputs: Any, about: Mapping[str, Any]) -> ModelSignature:
    """Return the signature by which MLflow exports a graph: -1 where an axis may have any length."""
    signature = infer_signature(example, outputs)
    _, rows, _, channels = about["input"]
    if rows is None:  # and columns, too
        signature.inputs = Schema([TensorSpec(example.dtype, (-1, channels, -1, -1))])
    return signature


def log_exported(
    model: Any,
    *,
    name: str,
    example: NDArray[np.uint8],
    outputs: Any,
    about: Mapping[str, Any],
    requirements: list[str],
) -> None:
    """Log a torch module to the active run of MLflow, as a graph that loads without this package.

    Args:
        name: of the logged model, see `model_name`.
        example: images (N, C, H, W) with N of at least 2, so that any batch size is accepted.
        outputs: what the model returns for them.
        about: the description of the model; MLflow shows it as its metadata.
        requirements: of those who load it.
    """

    def save(path: str, mlflow_model: Model) -> None:
        mlflow.pytorch.save_model(
            model,
            path,
            mlflow_model=mlflow_model,
            signature=_sign(example, outputs, about),
            input_example=example,
            code_paths=[convoy_serving.__file__],
            pip_requirements=requirements,
            serialization_format="pt2",
        )
        (Path(path) / DATA / "convoy.json").write_text(json.dumps(dict(about), indent=2), encoding="utf-8")
        for copy, source in COPIES.items():
            (Path(path) / "code" / copy).write_bytes(source.read_bytes())
        mlflow_model.signature = None
        served = mlflow_model.flavors["python_function"]
        served["loader_module"] = "convoy_serving"
        served.pop("config", None)  # which only the loader of mlflow.pytorch takes
        mlflow_model.save(str(Path(path) / MLMODEL))

    Model.log(
        artifact_path=None,
        name=name,
        flavor=SimpleNamespace(save_model=save),
        flavor_name="pytorch",
        metadata=dict(about),
    )
