"""Settings of a loss network: a pretrained network, frozen, whose features say how alike two images are.

Importable without torch; `pipeline.tasks.features` builds the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, Range
from pipeline.networks.planner import plan
from pipeline.plans.network import Network
from pipeline.transfer.checkpoint import KEYS as TRANSFER
from pipeline.transfer.checkpoint import check_format, find_checkpoint

SHAPE = (3, 224, 224)  # of images that it is planned for; it sees those of any sides
OUTPUTS = 1000  # of its head, which is not used
KEYS = ("model", "pretrained", "mean", "deviation", "order", "content_levels", "style_levels")
ORDERS = ("rgb", "bgr")
LEVELS = ("content_levels", "style_levels")


def check_loss_network(settings: Mapping[str, Any], path: str) -> None:
    """Check the settings of a loss network.

    Args:
        settings: all of `KEYS`: `model`, a network as in conf/model; `pretrained`, see `find_checkpoint`; `mean` and
            `deviation` of red, green and blue, and the `order` of the three, by which its images were normalised; and
            the weights of its levels, from the image on, as lists.
        path: of the settings, for errors.

    Raises:
        ConfigError: one is missing, unknown or out of range, or the network cannot be planned.
    """
    for key in settings:
        if key not in KEYS:
            raise ConfigError.unknown(f"{path}.{key}", key, KEYS, what="key")
    for key in KEYS:
        if key not in settings:
            raise ConfigError(
                f"{path}.{key}", "the setting is missing", hint="choose another task/loss_network="
            )
    if settings["order"] not in ORDERS:
        raise ConfigError.unknown(f"{path}.order", settings["order"], ORDERS, what="order")
    for key, span in (("mean", Range(least=0, most=255)), ("deviation", Range(above=0))):
        _check_numbers(settings[key], f"{path}.{key}", span, count=3)
    network = plan_loss_network(settings, path)
    for key in LEVELS:
        _check_levels(settings[key], f"{path}.{key}", network)


def find_loss_checkpoint(settings: Mapping[str, Any], path: str) -> Path:
    """Return the file of the weights of a loss network.

    Raises:
        ConfigError: there is none, or it is no checkpoint.
    """
    pretrained = settings["pretrained"]
    if not isinstance(pretrained, str):
        raise ConfigError(f"{path}.pretrained", got=pretrained, allowed="a file or package:<name>")
    file = find_checkpoint(pretrained, f"{path}.pretrained")
    check_format(file, f"{path}.pretrained")
    return file


def check_sides(settings: Mapping[str, Any], path: str, sides: tuple[int, ...]) -> None:
    """Check that a loss network takes images of some rows and columns.

    Raises:
        ConfigError: they are fewer than its layers divide.
    """
    try:
        plan_loss_network(settings, path, sides)
    except ConfigError as reason:
        raise ConfigError(
            "data.shape",
            f"images of {' x '.join(map(str, sides))} pixels are too small for {path} ({reason.problem})",
            hint="choose more rows and columns",
        ) from None


def plan_loss_network(settings: Mapping[str, Any], path: str, sides: tuple[int, ...] = SHAPE[1:]) -> Network:
    """Plan a loss network.

    Raises:
        ConfigError: it cannot be built.
    """
    model = settings["model"]
    if not isinstance(model, Mapping):
        raise ConfigError(f"{path}.model", got=model, allowed="a network as in conf/model")
    for key in TRANSFER:
        if key in model:
            hint = f"set {path}.pretrained" if key == "pretrained" else "remove it"
            raise ConfigError(
                f"{path}.model.{key}", "is not used by a loss network", got=model[key], hint=hint
            )
    try:
        return plan(model, shape=(3, *sides), outputs=OUTPUTS)
    except ConfigError as reason:
        place = f"{path}.{reason.path}"
        raise ConfigError(
            place, reason.problem, got=reason.got, allowed=reason.allowed, hint=reason.hint
        ) from None


def _check_levels(weights: Any, path: str, network: Network) -> None:
    """Raise unless there is a weight for each of the first levels of a network, and one of them is above 0."""
    count = len(network.level_ends())
    if not isinstance(weights, list) or not 1 <= len(weights) <= count:
        names = f"a list of 1 to {count} weights, one for each level of {network.name} from the image on"
        raise ConfigError(path, got=weights, allowed=names)
    _check_numbers(weights, path, Range(least=0), count=len(weights))
    if not any(weights):
        raise ConfigError(path, "all weights are 0", got=weights, hint="set one above 0")


def _check_numbers(values: Any, path: str, span: Range, *, count: int) -> None:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != count:
        raise ConfigError(path, got=values, allowed=f"a list of {count} numbers")
    for index, value in enumerate(values):
        span.check(f"{path}[{index}]", value)
