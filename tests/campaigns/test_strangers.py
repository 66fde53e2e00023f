"""Declarations that a stranger has written to attack: each is refused in one sentence, and runs nothing.

`make test` runs a few of each kind, `make campaign` all: every attack at every place where a declaration is read.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from pipeline import augment, evaluate, prepare, report, search, statistics
from pipeline import train as train_command
from pipeline.declaration.loading import load
from pipeline.errors import ConfigError
from pipeline.runs.context import RUN
from pipeline.runs.folder import RunFolder
from pipeline.storage.sealed import write_digests
from pipeline.training.run import follow
from tests.campaigns.attacks import ATTACKS, PLAIN, TEXTS, written
from tests.campaigns.trap import happened, nothing_happens, set_trap, watched

FILE = r"\S*(resolved|config|best)\.yaml: "  # where the reader found the attack


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return set_trap(tmp_path, monkeypatch)


# Where declarations are read.


def command(module: Any, *arguments: str) -> None:
    before, sys.argv = sys.argv, ["command", *arguments]
    try:
        module.main()
    finally:
        sys.argv = before


def by_stage(module: Any) -> Callable[[str], None]:
    def read(text: str) -> None:
        Path("resolved.yaml").write_text(text)
        command(module, "resolved.yaml", "out")

    return read


def run_folder(text: str) -> Path:
    folder = Path("runs") / "0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(text)
    (folder / "result.json").write_text(json.dumps({"fingerprint": folder.name, "data": "x"}))
    write_digests(folder, ["result.json"])  # the attacker's own
    RunFolder(folder).update(state="finished", fingerprint=folder.name, has_artifacts=True)
    return folder


def by_evaluate(text: str) -> None:
    command(evaluate, str(run_folder(text)), "scores")


def by_evaluate_with_views(text: str) -> None:
    command(evaluate, str(run_folder(text)), "scores", "views=flips")


def by_evaluate_with_best(text: str) -> None:
    Path("best.yaml").write_text(text)
    command(evaluate, str(run_folder(written(PLAIN))), "scores", "best.yaml")


def by_report(text: str) -> None:
    for name, content in {
        "evaluate/x/scores.json": "{}",
        "evaluate/x/baseline.json": "{}",
        "evaluate/x/groups.csv": "",
        "evaluate/x/remarks.txt": "",
        "prepare/x/prepared.json": "{}",
        "train/x/result.json": "{}",
        "search/x/best.yaml": text,
    }.items():
        (Path("artifacts") / name).parent.mkdir(parents=True, exist_ok=True)
        (Path("artifacts") / name).write_text(content)
        write_digests((Path("artifacts") / name).parent)
    command(report, "artifacts", "out")


def by_follow(text: str) -> None:
    before = dict(os.environ)
    os.environ |= {RUN: str(run_folder(text).resolve()), "RANK": "1", "LOCAL_RANK": "1", "NODE_RANK": "0"}
    try:
        follow(Path.cwd())
    finally:
        os.environ.clear()
        os.environ |= before


FILE_READERS: dict[str, Callable[[str], None]] = {
    "train": by_stage(train_command),
    "prepare": by_stage(prepare),
    "statistics": by_stage(statistics),
    "augment": by_stage(augment),
    "search": by_stage(search),
    "evaluate a run": by_evaluate,
    "evaluate with views": by_evaluate_with_views,
    "evaluate the best": by_evaluate_with_best,
    "report": by_report,
    "follow": by_follow,
}


FEW = list(ATTACKS)[::12]


def test_declaration_without_an_attack_passes_the_door(trap: Path) -> None:
    Path("resolved.yaml").write_text(written(PLAIN))
    assert load(Path("resolved.yaml")).sections == PLAIN


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("reader", FILE_READERS)
def test_few_attacks_in_a_resolved_file(reader: str, name: str, trap: Path) -> None:
    with nothing_happens(trap, names=FILE):
        FILE_READERS[reader](written({**deepcopy(PLAIN), **ATTACKS[name]}))


@pytest.mark.campaign
@pytest.mark.parametrize("reader", FILE_READERS)
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_in_a_resolved_file(reader: str, name: str, trap: Path) -> None:
    with nothing_happens(trap, names=FILE):
        FILE_READERS[reader](written({**deepcopy(PLAIN), **ATTACKS[name]}))


@pytest.mark.parametrize("name", TEXTS)
def test_few_texts_of_a_resolved_file(name: str, trap: Path) -> None:
    with nothing_happens(trap, names=FILE):
        by_evaluate(TEXTS[name])


@pytest.mark.campaign
@pytest.mark.parametrize("reader", FILE_READERS)
@pytest.mark.parametrize("name", TEXTS)
def test_text_of_a_resolved_file(reader: str, name: str, trap: Path) -> None:
    with nothing_happens(trap, names=FILE):
        FILE_READERS[reader](TEXTS[name])


# Damage at every key: a resolved file that lacks a key, or has another value there, is refused or harmless.

VALUES: list[Any] = [
    None,
    -1,
    0.5,
    "x",
    [],
    {},
    [{"_target_": "os.system"}],
    {"module": "os.system"},
    10**30,
    True,
]


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(node[key], (*path, key))


PLACES = list(places(PLAIN))


@pytest.mark.campaign
@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_other_value_at_a_place_is_refused_or_harmless(place: tuple[Any, ...], trap: Path) -> None:
    for value in [..., *VALUES]:
        sections = deepcopy(PLAIN)
        node: Any = sections
        for key in place[:-1]:
            node = node[key]
        if value is ...:
            del node[place[-1]]
        else:
            node[place[-1]] = deepcopy(value)
        path = Path("resolved.yaml")
        path.write_text(written(sections))
        happened.clear()
        watched.append(trap)
        try:
            load(path)
            refused_at = "resolved.yaml"  # harmless
        except ConfigError as refusal:
            refused_at = refusal.path
        finally:
            watched.clear()
        assert refused_at.startswith("resolved.yaml")
        assert happened == []
