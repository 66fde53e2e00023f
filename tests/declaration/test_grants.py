"""Classes of a package of the user's own are built only where the owner of the machine has granted the package."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import compose as compose_command
from pipeline import preview, summary, train
from pipeline.declaration.checks import check
from pipeline.declaration.composition import compose_sections
from pipeline.declaration.grants import VARIABLE, check_granted, grant_typed, variables
from pipeline.declaration.loading import load
from pipeline.files import yaml_text
from tests.refusals import refused


@pytest.fixture(autouse=True)
def ungranted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")  # and what a test grants goes with it


def test_prefix_that_nobody_has_granted_is_refused_with_both_ways_to_grant_it() -> None:
    text = (
        "allowed_targets: this declaration builds classes of mylab, which runs the code of that package, got "
        "'mylab.'; if you trust both, export CONVOY_ALLOWED_TARGETS=mylab. or type allowed_targets=[mylab.]"
    )
    with refused("allowed_targets", got="mylab.", text=text):
        check_granted(["mylab."])
    with refused("allowed_targets", got="mylab."):
        check({**compose_sections([]), "allowed_targets": ["mylab."]})


@pytest.mark.parametrize(
    ("granted", "asked", "is_granted"),
    [
        ("mylab.", "mylab.", True),
        ("yourlab.,mylab.", "mylab.", True),
        ("mylab.", "mylab.optim.", True),  # a part of what is granted
        ("mylab.optim.", "mylab.", False),
        ("mylab.", "mylaboratory.", False),
        ("mylab", "mylab.", False),  # no prefix
        (",", "mylab.", False),
        ("", "mylab.", False),
    ],
)
def test_granted_is_what_the_environment_lists(
    granted: str, asked: str, is_granted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, granted)
    if is_granted:
        check_granted([asked])
    else:
        with refused("allowed_targets", got=asked):
            check_granted([asked])


@pytest.mark.parametrize(
    ("typed", "granted"),
    [
        (["allowed_targets=[mylab.]"], "mylab."),
        (["seed=1", "++allowed_targets=[mylab.,yourlab.]"], "mylab.,yourlab."),
        (["allowed_targets=[mylab.]", "allowed_targets=[yourlab.]"], "mylab.,yourlab."),
        (["allowed_targets=mylab."], ""),  # no list, which is refused later
        (["allowed_targets=[", "allowed_targets=[3, '', os]"], ""),
        (["search.allowed_targets=[mylab.]", "experiment=allowed_targets=[mylab.]"], ""),
    ],
)
def test_typing_grants_to_this_process_and_those_that_it_starts(typed: list[str], granted: str) -> None:
    grant_typed(typed)
    assert os.environ[VARIABLE] == granted
    assert variables() == ({VARIABLE: granted} if granted else {})


@pytest.mark.parametrize("value", ["mylab.", [""], ["mylab"], [3], ["my lab."], ["."], [".mylab."]])
def test_what_is_no_list_of_prefixes_is_refused(value: Any) -> None:
    with refused("allowed_targets", got=value, allowed="a list of prefixes such as [mylab.]"):
        check({**compose_sections([]), "allowed_targets": value})


class Reached(Exception):
    """A command has come to where the grant counts."""


@pytest.mark.parametrize(
    ("module", "inner", "arguments"),
    [
        (train, "main_hydra", []),
        (compose_command, "compose", ["out.yaml"]),
        (preview, "compose", []),
        (summary, "compose", []),
    ],
    ids=["train", "compose", "preview", "summary"],
)
def test_commands_grant_what_is_typed_before_they_compose(
    module: Any, inner: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reach(*_: Any) -> None:
        check_granted(["mylab."])
        raise Reached

    monkeypatch.setattr(module, inner, reach)
    monkeypatch.setattr(sys, "argv", ["command", *arguments, "allowed_targets=[mylab.]"])
    with pytest.raises(Reached):
        module.main()


def test_resolved_file_needs_the_grant_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "best.yaml"
    path.write_text(yaml_text({**compose_sections([]), "allowed_targets": ["mylab."]}))
    with refused(f"{path}: allowed_targets", got="mylab.", hint="export CONVOY_ALLOWED_TARGETS=mylab."):
        load(path)
    monkeypatch.setenv(VARIABLE, "mylab.")
    assert load(path).allowed_targets == ("mylab.",)
