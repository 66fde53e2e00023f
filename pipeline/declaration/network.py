"""Plan the network of a declaration for its image shape and task, without building it."""

from __future__ import annotations

from pipeline.data.sources import load_source
from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError
from pipeline.networks.planner import plan
from pipeline.plans.network import Network
from pipeline.tasks.demands import Demands, load_demands


def plan_network(declaration: Declaration) -> Network:
    """Plan the network of a declaration; check that data, network and task are compatible.

    Raises:
        ConfigError: they are not.
    """
    facts, demands = declaration.data, load_demands(declaration.task)
    target = load_source(facts.format).TARGET
    if target != demands.target:
        raise ConfigError(
            "task",
            f"{demands.name} needs a {demands.target} for each image, data {facts.name} (format {facts.format}) has a "
            f"{target}",
            got=declaration.task["_target_"],
            hint="choose another task= or data=",
        )
    shape = declaration.input_shape
    _check_input_shape(declaration, demands)
    wanted = demands.output_shape(declaration.task, facts, shape)
    network = plan(declaration.model, shape=shape, outputs=wanted[0])
    if not demands.accepts(network.output_shape, wanted):
        raise ConfigError(
            "model",
            f"{network.name} puts out {network.output_shape} for an image of {shape}, the task needs {wanted}",
            hint="choose a network for this task, or end its head accordingly",
        )
    return network


def _check_input_shape(declaration: Declaration, demands: Demands) -> None:
    """Raise if the input shape is not a crop of the images, or if cropping would lose part of dense targets."""
    shape, whole = declaration.input_shape, tuple(declaration.data.shape)
    is_shape = len(shape) == 3 and all(type(n) is int and n >= 1 for n in shape)
    if not is_shape or shape[0] != whole[0]:
        raise ConfigError(
            "input_shape",
            got=list(shape),
            allowed=f"[{whole[0]}, rows, columns] of what the network sees",
        )
    if any(a > b for a, b in zip(shape, whole, strict=True)):
        raise ConfigError(
            "input_shape",
            f"{list(shape)} is larger than data.shape {list(whole)}",
            hint="crops are taken from images, so make data.shape larger or input_shape smaller",
        )
    if demands.is_dense and shape != whole:
        raise ConfigError(
            "input_shape",
            f"this task labels every pixel of data.shape {list(whole)}",
            got=list(shape),
            hint="leave input_shape as it is, and crop training images by augmentation alone",
        )
