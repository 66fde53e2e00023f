"""Plan the network of a declaration for its image shape and task, without building it."""

from __future__ import annotations

import os

from pipeline.data.degrade_facts import degraded_shape
from pipeline.data.pixel_facts import CUT
from pipeline.data.sources import find_target
from pipeline.declaration.declaration import Declaration
from pipeline.errors import ConfigError
from pipeline.networks.planner import plan
from pipeline.plans.network import Network
from pipeline.tasks.demands import Demands, load_demands

BYTES = 4  # of a float32
MOST_WEIGHTS = 10**10
MOST_ACTIVATIONS = 10**10
MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
OTHER_NORMS = "set model.norm=instance or model.norm={group: 8}"


def plan_network(declaration: Declaration) -> Network:
    """Plan the network of a declaration; check that data, network and task are compatible.

    Raises:
        ConfigError: they are not.
    """
    facts, demands = declaration.data, load_demands(declaration.task)
    target = find_target(facts)
    if target != demands.target:
        raise ConfigError(
            "task",
            f"{demands.name} needs targets of the kind {demands.target}, data {facts.name} (format {facts.format}) has "
            f"those of the kind {target}",
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


def check_size(network: Network) -> None:
    """Check that a network is one that some machine could train.

    Raises:
        ConfigError: it has too many weights, or its maps have too many values.
    """
    for what, count, most in (
        ("weights", network.weights, MOST_WEIGHTS),
        ("values in its maps for one image", network.activations, MOST_ACTIVATIONS),
    ):
        if count > most:
            raise ConfigError(
                "model",
                f"{network.name} has {count:,} {what}, more than {most:,}",
                hint="make model.width, its layers or input_shape smaller",
            )


def check_memory(network: Network) -> None:
    """Check that this machine can hold the weights of a network, their gradients, and its maps for one image.

    Raises:
        ConfigError: it cannot.
    """
    needed = BYTES * (2 * network.weights + network.activations)
    has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > has:
        raise ConfigError(
            "model",
            f"{network.name} needs at least {needed:,} bytes of memory to train, this machine has {has:,}",
            hint="make model.width, its layers or input_shape smaller, or use another machine",
        )


def sees_whole(declaration: Declaration) -> bool:
    """Return whether the network sees test images whole, in their own sides."""
    return declaration.data.resize == CUT and load_demands(declaration.task).sees_whole


def find_multiple(declaration: Declaration) -> int | None:
    """Return the number whose multiples a network takes as rows and columns; None if it takes images of one size.

    It takes others where it has as many weights for them, and puts out what the task needs.
    """
    usual = plan_network(declaration)
    fewest = max(usual.shape[1:])
    for multiple in MULTIPLES:
        count = -(-fewest // multiple)
        if all(_takes(declaration, usual, side * multiple) for side in (count, count + 1)):
            return multiple
    return None


def plan_for(declaration: Declaration, sides: tuple[int, int]) -> Network:
    """Plan the network of a declaration for images of other sides.

    Raises:
        ConfigError: it does not take them.
    """
    channels, outputs = declaration.input_shape[0], plan_network(declaration).outputs
    return plan(declaration.model, shape=(channels, *sides), outputs=outputs)


def check_whole(declaration: Declaration, network: Network) -> None:
    """Check that a network takes images of any sides, if it is to see whole ones.

    Raises:
        ConfigError: it does not.
    """
    if sees_whole(declaration) and find_multiple(declaration) is None:
        raise ConfigError(
            "data.resize",
            f"cut shows test images whole, and model {network.name} takes images of one size",
            got=CUT,
            hint="choose another model, or data.resize=squash, letterbox or crop",
        )


def _takes(declaration: Declaration, usual: Network, side: int) -> bool:
    try:
        network = plan_for(declaration, (side, side))
    except ConfigError:
        return False
    wanted = load_demands(declaration.task).output_shape(declaration.task, declaration.data, network.shape)
    return network.weights == usual.weights and network.output_shape == wanted


def has_batch_norms(network: Network) -> bool:
    """Return whether a network has batch norms, auxiliary heads included."""
    leaves = (*network.leaves(), *network.side_leaves())
    return any("BatchNorm" in spec.target for leaf in leaves for spec in leaf.specs)


def _check_input_shape(declaration: Declaration, demands: Demands) -> None:
    """Raise if the input shape is not a crop of the images, or if cropping would lose part of dense targets."""
    shape, whole = declaration.input_shape, tuple(declaration.data.shape)
    shown = degraded_shape(declaration.data)
    if shape != shown != whole:
        raise ConfigError(
            "input_shape",
            got=list(shape),
            allowed=f"{list(shown)}, that is data.shape {list(whole)} divided by data.degrade.factor",
        )
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
    if shape == shown:
        return
    from pipeline.data.targets.kind import load_kind  # imports numpy, which most declarations do not need

    if load_kind(demands.target).keeps_sides:
        raise ConfigError(
            "input_shape",
            f"the {demands.target} of this task lie in whole images of data.shape {list(whole)}",
            got=list(shape),
            hint="leave input_shape as it is, and crop training images by augmentation alone",
        )
    if demands.is_dense:
        raise ConfigError(
            "input_shape",
            f"this task labels every pixel of data.shape {list(whole)}",
            got=list(shape),
            hint="leave input_shape as it is, and crop training images by augmentation alone",
        )
