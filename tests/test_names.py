"""Names that become parts of paths: refused where they could lead elsewhere, or cannot be those of files."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from pipeline.compose import compose_experiments
from pipeline.compose import main as command
from pipeline.declaration.composition import compose
from pipeline.declaration.experiments import read_experiments
from pipeline.declaration.loading import load
from pipeline.files import yaml_text
from pipeline.storage.names import NAME, check_name, escape_key, unescape_key
from tests.makers import data_section, write_declaration
from tests.refusals import refused

BAD = [
    "", ".", "..", "../a", "a/b", "/a", "a\\b", "C:", ".hidden", "-rf", " a", "a ", "a.", "a\nb", "a\x00", "a\x1b[2J",
    "a\u202eb", "a\ud800", "a*", "a?", "a;b", "$(a)", "`a`", "a|b", "a&b", "'a'", '"a"', "<a>", "a%2e", "~", "{a}", "#",
    "con", "NUL.txt", "com1", "a" * 101, "\u3131" * 34, None, 3, True, ["a"],
]  # fmt: skip
GOOD = [
    "a", "0", "digits_lenet5", "a.b-c", "_a", "lr=0.1,seed=2", "a+b@c", "two words", "\uc22b\uc790", "\u00e9t\u00e9",
    "e\u0301", "a" * 100, "\u3131" * 33, "console", "\u0928\u093e\u092e",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD, ids=repr)
def test_name_that_could_lead_elsewhere_is_refused(name: Any) -> None:
    with refused("search.name", got=name, allowed=NAME):
        check_name("search.name", name)


@pytest.mark.parametrize("name", GOOD, ids=repr)
def test_name_in_any_script_is_that_of_a_file(name: str, tmp_path: Path) -> None:
    check_name("search.name", name)
    (tmp_path / f"{name}-{name}.before12").touch()  # the longest that is made of names


def test_refusal_of_a_name_says_what_a_name_is() -> None:
    text = (
        "name must be a name of at most 100 bytes, made of letters and digits of any script and of '_-.+=@, ', that "
        "begins with a letter, a digit or '_' and ends with neither '.' nor a space, got '../a'"
    )
    with refused("name", text=text):
        check_name("name", "../a")


@pytest.mark.parametrize("path", ["name", "data.name", "search.name", "tracking.experiment"])
def test_name_that_climbs_out_is_refused_wherever_it_is_given(path: str) -> None:
    with refused(path, allowed=NAME):
        compose([f"{path}=../../../my"])


def test_name_that_climbs_out_is_refused_in_a_resolved_file(tmp_path: Path) -> None:
    file = write_declaration(tmp_path / "tiny.yaml", data_section("data.zip"))
    file.write_text(file.read_text().replace("tiny_experiment", "../../my"))
    with refused(f"{file}: name", got="../../my", allowed=NAME):
        load(file)


def test_experiment_of_a_server_may_lie_in_its_folders() -> None:
    assert compose(["tracking.experiment=/Shared/digits"]).tracking.experiment == "/Shared/digits"


NO_LIST = {"hint": 'write experiments: {<name>: {data: <name of an archive>, overrides: ""}}'}
SHELL = {
    "hint": "put each override into single quotes, such as 'optimizer.lr=${trainer.lr}'",
}
GIVEN = {"data": "digits", "overrides": ""}
PARAMS: list[tuple[Any, str, dict[str, Any]]] = [
    ("a: [", "{file}", NO_LIST),
    ({}, "{file}", NO_LIST),
    ({"experiments": ["a"]}, "{file}", NO_LIST),
    ({"experiments": {"a": {"data": "digits"}}}, "{file}", NO_LIST),
    ({"experiments": {"../a": GIVEN}}, "experiments", {"got": "../a", "allowed": NAME}),
    ({"experiments": {"a;touch b": GIVEN}}, "experiments", {"got": "a;touch b", "allowed": NAME}),
    ({"experiments": {"a b": GIVEN}}, "experiments", {"got": "a b"}),
    (
        {"experiments": {"a": {**GIVEN, "data": "../b"}}},
        "experiments.a.data",
        {"got": "../b", "allowed": NAME},
    ),
    (
        {"experiments": {"a": {**GIVEN, "overrides": ["seed=1"]}}},
        "experiments.a.overrides",
        {"got": ["seed=1"]},
    ),
    *[
        (
            {"experiments": {"a": {**GIVEN, "overrides": text}}},
            "experiments.a.overrides",
            {"got": text, **SHELL},
        )
        for text in (
            "seed=1; touch b",
            "seed=$(touch b)",
            'name="`touch b`"',
            "name='a",
            "a=b|c",
            "seed=1\nls",
        )
    ],
]


@pytest.mark.parametrize(("content", "path", "fields"), PARAMS, ids=lambda value: str(value)[:60])
def test_params_that_could_do_harm_in_a_command_are_refused(
    content: Any, path: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(content if isinstance(content, str) else yaml_text(content))
    with refused(path.replace("{file}", str(file)), **fields):
        compose_experiments(file, tmp_path / "out", root=tmp_path)
    assert list(tmp_path.iterdir()) == [file]


def test_params_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    with refused(str(file), text=f"{file}: does not exist; name the file of the experiments"):
        read_experiments(file)


def test_quoted_overrides_are_those_that_the_shell_passes_on(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(
        yaml_text(
            {"experiments": {"a": {**GIVEN, "overrides": "seed=1 'name=${data.name}' \"data.licence=a b\""}}}
        )
    )
    assert read_experiments(file) == {"a": ["seed=1", "name=${data.name}", "data.licence=a b"]}


@pytest.mark.parametrize("name", ["config.yaml", "config.json"])
def test_composed_file_does_not_replace_a_file_of_a_user(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / name
    mine.write_text("mine: 1")
    monkeypatch.setattr("sys.argv", ["compose", str(tmp_path / "config.yaml"), "experiment=digits_lenet5"])
    text = f"{mine}: is not a composed declaration; choose another name for the file to write"
    with refused(str(mine), text=text):
        command()
    assert mine.read_text() == "mine: 1"


KEYS = [
    ("val/dice_grey (cortex)", "val/dice_grey :28:cortex:29:"),
    ("c++", "c:2b::2b:"),
    ("a:b", "a:3a:b"),
    ("a//b", "a/::/b"),
    ("../a", ":2e:./a"),
    ("a\n", "a:a:"),
    ("\u0928\u093e", "\u0928:93e:"),
    ("white matter.1/\uc22b-_", "white matter.1/\uc22b-_"),
]


@pytest.mark.parametrize(("name", "key"), KEYS, ids=repr)
def test_name_is_written_for_mlflow_by_the_stated_rule(name: str, key: str) -> None:
    assert escape_key(name) == key


@given(st.text(st.characters(exclude_categories=()) | st.sampled_from(":/.2e ")))
def test_any_name_is_a_metric_of_mlflow_and_read_back(name: str) -> None:
    key = escape_key(name)
    assert unescape_key(key) == name
    _validate_metric_name(key)
