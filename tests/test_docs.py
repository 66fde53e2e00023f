"""The docs name all that there is."""

import re
from pathlib import Path

import pytest
import yaml

from pipeline.data.sources import FORMATS
from pipeline.declaration.composition import compose_sections
from pipeline.networks.parts import ACTIVATIONS, AS_PUBLISHED, INITIALISERS, NORMS
from pipeline.networks.structures import LAYERS
from pipeline.trials.space import check_keys, parse_space

ROOT = Path(__file__).parents[1]
TRANSFORMS = (ROOT / "docs" / "augmentation.md").read_text()
TEXT = (ROOT / "docs" / "networks.md").read_text()
CODE = {word for quoted in re.findall(r"`([^`\n]+)`", TEXT) for word in re.findall(r"\w+", quoted)}


def section(heading: str, text: str = TEXT) -> str:
    return text.split(f"## {heading}\n", maxsplit=1)[1].split("\n## ", maxsplit=1)[0]


def test_page_of_networks_names_every_layer_and_every_part() -> None:
    assert {*LAYERS, *NORMS, *ACTIVATIONS, *INITIALISERS, *AS_PUBLISHED} - CODE == set()


def test_tables_of_layers_name_nothing_else() -> None:
    rows = re.findall(r"^\| (`[^|]*`) \|", section("The language"), flags=re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == LAYERS.keys()


def test_zoo_on_the_page_is_the_zoo_of_conf() -> None:
    shown = re.findall(r"`(\w+)`", section("The zoo").split("| family |")[1])
    assert sorted(shown) == sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))


@pytest.mark.parametrize(
    ("heading", "group"),
    [("Preprocessing", "preprocess"), ("Recipes", "augmentation"), ("Views of test images", "views")],
)
def test_tables_of_transforms_are_those_of_conf(heading: str, group: str) -> None:
    rows = re.findall(r"^\| (`[^|]*`) \|", section(heading, TRANSFORMS), flags=re.MULTILINE)
    shown = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(shown) == sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


def test_page_of_own_images_names_every_format() -> None:
    page = (ROOT / "docs" / "own-images.md").read_text()
    formats = {path.stem for path in (ROOT / "pipeline" / "data" / "sources").glob("[!_]*.py")}
    assert [name for name in formats if f"`{name}`" not in page] == []
    assert [each for each in set(FORMATS.values()) if each.lower() not in page.lower()] == []


def test_every_figure_of_the_readme_and_the_docs_is_there() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text()):
            assert (page.parent / name).is_file(), f"{page.name} shows {name}"


def test_space_on_the_page_of_searches_can_be_read() -> None:
    text = (ROOT / "docs" / "search.md").read_text()
    shown = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])["search"]
    entries = parse_space(shown["space"])
    check_keys(entries, compose_sections(["experiment=digits_lenet5"]))
    assert [entry.key for entry in entries] == list(shown["space"])
    settings = set(re.findall(r"`search\.(\w+)`", text)) - {"html"}  # the page
    assert settings <= compose_sections([])["search"].keys()
    assert settings >= compose_sections([])["search"].keys() - {"name", "space"}, "a setting is not explained"
