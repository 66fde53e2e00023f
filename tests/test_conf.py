"""The files of conf/ and params.yaml: labelled, named as their files, and read alike by every YAML reader."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
FILES = sorted(CONF.rglob("*.yaml"))
EXPERIMENTS = sorted((CONF / "experiment").glob("*.yaml"))
PARAMS: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
EACH = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF)))


def read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text())
    return loaded


def scalars(text: str) -> Iterator[yaml.ScalarNode]:
    """Yield every value and key that is written without quotes."""
    for node in walk(yaml.compose(text)):
        if isinstance(node, yaml.ScalarNode) and node.style is None:
            yield node


def walk(node: Any) -> Iterator[yaml.Node]:
    yield node
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for each in pair:
                yield from walk(each)
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from walk(each)


def own_keys(node: Any) -> Iterator[str]:
    """Yield the keys that are ours: not the arguments of a `_target_`."""
    if isinstance(node, dict):
        if "_target_" not in node:
            yield from node
        for value in node.values():
            yield from own_keys(value)
    if isinstance(node, list):
        for value in node:
            yield from own_keys(value)


@EACH
def test_file_begins_with_a_comment_that_says_what_it_is(path: Path) -> None:
    lines = path.read_text().splitlines()
    header = [line for line in lines[:3] if line.startswith("# ") and not line.startswith("# @package")]
    assert header
    assert len(header[0]) > 15
    assert lines[0].startswith("#")


@EACH
def test_two_readers_of_two_yaml_versions_see_the_same_values(path: Path) -> None:
    newer = YAML(typ="safe", pure=True)  # YAML 1.2, where `on` is text and 010 is ten; DVC reads with it
    assert json.dumps(newer.load(io.StringIO(path.read_text()))) == json.dumps(read(path))


@pytest.mark.parametrize("text", ["on: 1", "a: yes", "a: 010", "a: 1e-3", "a: 1:30"])
def test_two_readers_would_not_agree_on_this(text: str) -> None:
    newer = YAML(typ="safe", pure=True)
    assert json.dumps(newer.load(io.StringIO(text))) != json.dumps(yaml.safe_load(text))


@EACH
def test_truth_is_written_true_or_false_and_fractions_with_a_point(path: Path) -> None:
    for node in scalars(path.read_text()):
        if node.tag == "tag:yaml.org,2002:bool":
            assert node.value in ("true", "false")
        if node.tag == "tag:yaml.org,2002:float":
            assert re.fullmatch(r"-?\d+\.\d+(e[+-]\d+)?", node.value)
        if node.tag == "tag:yaml.org,2002:str":
            assert not re.fullmatch(r"[-+]?[\d.]+e[-+]?\d+", node.value), "a number that is read as text"


@EACH
def test_no_key_of_ours_has_a_name_that_the_run_cache_of_dvc_ignores(path: Path) -> None:
    assert {"size", "nfiles"} & set(own_keys(read(path))) == set()


def test_own_keys_leave_out_the_arguments_of_a_target() -> None:
    tree = {"a": [{"_target_": "x", "size": 3, "more": {"nfiles": 1}}], "b": {"c": 1}}
    assert sorted(own_keys(tree)) == ["a", "b", "c", "nfiles"]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiment_is_a_list_of_overrides_under_its_own_name(path: Path) -> None:
    assert path.read_text().startswith("# @package _global_\n")
    experiment = read(path)
    assert experiment["name"] == path.stem
    *overrides, last = experiment["defaults"]
    assert last == "_self_"
    assert all(key.startswith("override /") for override in overrides for key in override)


@pytest.mark.parametrize("group", ["data", "model"])
def test_option_that_has_a_name_has_that_of_its_file(group: str) -> None:
    # a network made from another one carries that network's name too
    names = {
        path.stem: re.sub(r"_\$\{\.(encoder|classifier)\.name\}$", "", read(path)["name"])
        for path in (CONF / group).glob("*.yaml")
    }
    assert names
    assert names == {stem: stem for stem in names}


def test_names_are_in_snake_case() -> None:
    assert [path.name for path in FILES if not re.fullmatch(r"[a-z][a-z0-9_]*\.yaml", path.name)] == []


def test_declared_experiments_are_those_of_conf() -> None:
    assert PARAMS["experiments"].keys() <= {path.stem for path in EXPERIMENTS}


@pytest.mark.parametrize("name", PARAMS["experiments"])
def test_declared_archive_is_the_one_that_the_experiment_reads(name: str) -> None:
    """The stage prepare depends on data/<archive>.zip: touching it must re-run this experiment."""
    experiment = read(CONF / "experiment" / f"{name}.yaml")
    chosen = {key: option for each in experiment["defaults"][:-1] for key, option in each.items()}
    defaults = {key: option for each in read(CONF / "config.yaml")["defaults"] if each != "_self_"
                for key, option in each.items()}  # fmt: skip
    data = read(CONF / "data" / f"{chosen.get('override /data', defaults['data'])}.yaml")
    assert data["root"] == f"data/{PARAMS['experiments'][name]['data']}.zip"


def test_every_default_is_a_file() -> None:
    for each in read(CONF / "config.yaml")["defaults"]:
        if each == "_self_":
            continue
        ((group, option),) = each.items()
        folder = CONF / group.partition("@")[0]
        assert option is None or (folder / f"{option}.yaml").is_file()
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert groups == {
        key.partition("@")[0]
        for each in read(CONF / "config.yaml")["defaults"]
        if each != "_self_"
        for key in each
    }
