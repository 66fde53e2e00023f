"""The docs name all that there is."""

import re
from pathlib import Path

from pipeline.networks.parts import ACTIVATIONS, AS_PUBLISHED, INITIALISERS, NORMS
from pipeline.networks.structures import LAYERS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "networks.md").read_text()
CODE = {word for quoted in re.findall(r"`([^`\n]+)`", TEXT) for word in re.findall(r"\w+", quoted)}


def section(heading: str) -> str:
    return TEXT.split(f"## {heading}\n", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]


def test_page_of_networks_names_every_layer_and_every_part() -> None:
    assert {*LAYERS, *NORMS, *ACTIVATIONS, *INITIALISERS, *AS_PUBLISHED} - CODE == set()


def test_tables_of_layers_name_nothing_else() -> None:
    rows = re.findall(r"^\| (`[^|]*`) \|", section("The language"), flags=re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == LAYERS.keys()


def test_zoo_on_the_page_is_the_zoo_of_conf() -> None:
    shown = re.findall(r"`(\w+)`", section("The zoo").split("| family |")[1])
    assert sorted(shown) == sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
