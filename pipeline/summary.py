"""Print networks as tables: layer, output shape, weights, multiply-adds, receptive field.

    python -m pipeline.summary model=unet shape=[1,96,96] outputs=3
    python -m pipeline.summary model=lenet5 explain=true
    python -m pipeline.summary compare=[vgg16,resnet50,mobilenet_v2] shape=[3,224,224] outputs=1000
    python -m pipeline.summary experiment=digits_lenet5 format=json

`shape` and `outputs` default to those of the data and task. Nothing is built; no weights are allocated.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from pipeline.declaration.composition import compose, compose_sections
from pipeline.declaration.grants import check_granted, grant_typed
from pipeline.declaration.network import plan_network
from pipeline.declaration.targets import check_modules
from pipeline.errors import ConfigError
from pipeline.files import read_yaml
from pipeline.networks.planner import plan
from pipeline.plans.explain import formulas, notes
from pipeline.plans.network import Network
from pipeline.plans.table import as_comparison, as_json, as_rows, bytes_text, totals
from pipeline.runs.command import exit_on_mistake

OPTIONS = ("shape", "outputs", "format", "explain", "compare")
FORMATS = ("table", "json")
HEADINGS = ("place", "layer", "output", "weights", "multiply-adds", "receptive field")
TOTALS = ("network", "layers with weights", "weights", "multiply-adds", "activations", "output")


def summarise(overrides: list[str], options: Mapping[str, Any]) -> Network:
    """Plan the network of a declaration, for its own or a given image shape.

    Args:
        overrides: as for `pipeline.train`.
        options: `shape` [C, H, W] and `outputs`, both or neither.

    Raises:
        ConfigError: the declaration or the options are invalid.
    """
    if not {"shape", "outputs"} & options.keys():
        return plan_network(compose(overrides))
    if not {"shape", "outputs"} <= options.keys():
        raise ConfigError(
            "python -m pipeline.summary",
            "shape and outputs belong together",
            got=sorted(options),
            hint="give both shape=[C,H,W] and outputs=K, or neither",
        )
    shape, outputs = options["shape"], options["outputs"]
    is_shape = isinstance(shape, list) and len(shape) == 3
    if not is_shape or not all(type(n) is int and n > 0 for n in shape):
        raise ConfigError("shape", got=shape, allowed="[channels, rows, columns], such as [1,96,96]")
    if isinstance(outputs, bool) or not isinstance(outputs, int) or outputs < 1:
        raise ConfigError("outputs", got=outputs, allowed="an integer of at least 1")
    sections = compose_sections(overrides)
    check_granted(sections["allowed_targets"])
    check_modules(sections["model"], allowed=sections["allowed_targets"])
    return plan(sections["model"], shape=tuple(shape), outputs=outputs)


def show(network: Network, *, explains: bool) -> None:
    """Print a network as a table, optionally with the formula behind each number."""
    size = " x ".join(map(str, network.shape))
    table = _table(f"{network.name}, image {size}, outputs {network.outputs}", HEADINGS, first_number=3)
    for leaf, row in zip(network.leaves(), as_rows(network), strict=True):
        table.add_row(*row)
        for quantity, formula in formulas(leaf) if explains else ():
            table.add_row("", f"  {quantity}: {formula}", style="dim")
    sums = totals(network)
    table.add_section()
    table.add_row("total", "", "", f"{sums['weights']:,}", f"{sums['multiply_adds']:,}", "")
    _print(table, wider=60 * explains)
    for note in notes(network):
        _print(f" {note}")
    side = sums.get("auxiliary_weights", 0)
    _print(
        f" activations: {bytes_text(sums['activation_bytes'])} per image in float32"
        + (f"; auxiliary heads, in training only: {side:,} weights" if side else "")
    )


def compare(networks: Sequence[Network]) -> None:
    """Print the totals of several networks side by side."""
    table = _table(f"image {' x '.join(map(str, networks[0].shape))}", TOTALS, first_number=1)
    for row in as_comparison(networks):
        table.add_row(*row)
    _print(table)


def _table(title: str, headings: Sequence[str], *, first_number: int) -> Table:
    table = Table(title=title, box=None)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index >= first_number else "left", overflow="fold")
    return table


def _print(what: Table | str, *, wider: int = 0) -> None:
    """Print without wrapping if the output is not a terminal."""
    Console(width=None if sys.stdout.isatty() else 140 + wider, highlight=False).print(what, markup=False)


def _read(value: str) -> Any:
    """Parse an option as YAML; if it is invalid, return the text, which is rejected later."""
    try:
        return read_yaml(value)
    except yaml.YAMLError:
        return value


def _named(options: Mapping[str, Any], overrides: list[str]) -> list[Network]:
    """Plan the networks listed in `compare`; other overrides apply to all of them."""
    names = options["compare"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigError("compare", got=names, allowed="a list of networks, such as [vgg16,resnet50]")
    if any(each.startswith("model=") for each in overrides):
        raise ConfigError(
            "compare", "names the networks, and model= would be ignored", hint="remove one of them"
        )
    return [summarise([*overrides, f"model={name}"], options) for name in names]


def main() -> None:
    """Print the network that the command line declares, or several side by side."""
    grant_typed(sys.argv[1:])
    options, overrides = {}, []
    for argument in sys.argv[1:]:
        key, _, value = argument.partition("=")
        if key in OPTIONS:
            options[key] = _read(value)
        else:
            overrides.append(argument)
    form, explains = options.pop("format", "table"), options.pop("explain", False)
    if form not in FORMATS:
        raise ConfigError.unknown("format", form, FORMATS, what="format")
    if not isinstance(explains, bool) or (explains and (form == "json" or "compare" in options)):
        raise ConfigError(
            "explain", got=explains, allowed="true or false, and true only for the table of one network"
        )
    if "compare" in options:
        networks = _named(options, overrides)
        if form == "json":
            print(json.dumps([{"name": each.name, **totals(each)} for each in networks]))
        else:
            compare(networks)
        return
    network = summarise(overrides, options)
    if form == "json":
        print(json.dumps(as_json(network)))
    else:
        show(network, explains=explains)


if __name__ == "__main__":
    exit_on_mistake(main)
