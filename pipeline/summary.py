"""Print a network as a table: layer, output shape, weights, multiply-adds, receptive field.

    python -m pipeline.summary model=unet shape=[1,96,96] outputs=3
    python -m pipeline.summary experiment=digits_lenet5 format=json

Without `shape` and `outputs`: those of the data and task. Nothing is built; no weight is allocated.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from pipeline.compose import compose, composed, planned
from pipeline.errors import ConfigError, closest, exit_on_mistake
from pipeline.networks.plan import Network
from pipeline.networks.structures import plan
from pipeline.networks.table import as_json, as_rows

OPTIONS = ("shape", "outputs", "format")
FORMATS = ("table", "json")
HEADINGS = ("place", "layer", "output", "weights", "multiply-adds", "receptive field")


def summarise(overrides: list[str], options: Mapping[str, Any]) -> Network:
    """Plan the network of a declaration, for its own image or for the one asked for.

    Args:
        overrides: as for `pipeline.train`.
        options: `shape` [C, H, W] and `outputs`, both or neither.

    Raises:
        ConfigError: the declaration or the options cannot work.
    """
    if not {"shape", "outputs"} & options.keys():
        return planned(compose(overrides))
    if not {"shape", "outputs"} <= options.keys():
        raise ConfigError("summary: give both shape=[C,H,W] and outputs=K, or neither")
    shape, outputs = options["shape"], options["outputs"]
    is_shape = isinstance(shape, list) and len(shape) == 3
    if not is_shape or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ConfigError(f"shape must be [channels, rows, columns], such as [1,96,96], got {shape!r}")
    if isinstance(outputs, bool) or not isinstance(outputs, int) or outputs < 1:
        raise ConfigError(f"outputs must be a whole number of at least 1, got {outputs!r}")
    return plan(composed(overrides).get("model", {}), shape=tuple(shape), outputs=outputs)


def show(network: Network) -> None:
    """Print a network as a table, as wide as it needs where the output is no terminal."""
    console = Console(width=None if sys.stdout.isatty() else 140)
    size = " x ".join(map(str, network.shape))
    table = Table(title=f"{network.name}, image {size}, outputs {network.outputs}", box=None)
    for index, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if index > 2 else "left", overflow="fold")
    for row in as_rows(network):
        table.add_row(*row)
    table.add_section()
    table.add_row("total", "", "", f"{network.weights:,}", f"{network.multiply_adds:,}", "")
    console.print(table, markup=False)


def _read(value: str) -> Any:
    """Read an option as YAML; what is none stays text, and is refused by name later."""
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def main() -> None:
    """Print the network that the command line declares."""
    options, overrides = {}, []
    for argument in sys.argv[1:]:
        key, _, value = argument.partition("=")
        if key in OPTIONS:
            options[key] = _read(value)
        else:
            overrides.append(argument)
    form = options.pop("format", "table")
    if form not in FORMATS:
        raise ConfigError(f"format={form}: no such format; {closest(form, FORMATS)}")
    network = summarise(overrides, options)
    if form == "json":
        print(json.dumps(as_json(network)))
    else:
        show(network)


if __name__ == "__main__":
    exit_on_mistake(main)
