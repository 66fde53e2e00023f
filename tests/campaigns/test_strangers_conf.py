"""Files of conf/, params.yaml and searches that a stranger has written to attack: each is refused, and runs nothing.

`make test` runs most of them, `make campaign` all: attacks in the sections, and the command in a process of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import summary
from pipeline.compose import compose_experiments
from pipeline.declaration import composition
from pipeline.declaration.composition import CONF, compose
from pipeline.files import yaml_text
from pipeline.trials.declared import load_search
from tests.campaigns.attacks import ATTACKS, CONF_TEXTS, Sections, written
from tests.campaigns.trap import nothing_happens, set_trap

ROOT = Path(__file__).parents[2]
GLOBAL = "# @package _global_\n"


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return set_trap(tmp_path, monkeypatch)


# Attacks by the files of conf/.


def changed(sections: Sections) -> str:
    """Return an experiment that sets sections, without merging mappings into those of conf/."""
    return GLOBAL + written({"defaults": ["digits_lenet5", "_self_"], "name": "evil", **sections})


IN_SEARCH = {"space of a module", "space of a target"}  # a trial of these fails; nothing is run before


@pytest.fixture(scope="session")
def own_conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strangers") / "conf"
    shutil.copytree(CONF, folder)
    return folder


@pytest.fixture
def experiment(own_conf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the file of an experiment in a copy of conf/."""
    monkeypatch.setattr(composition, "CONF", own_conf)
    file = own_conf / "experiment" / "evil.yaml"
    yield file
    file.unlink(missing_ok=True)


@pytest.mark.parametrize("name", CONF_TEXTS)
def test_attack_in_an_experiment_file(name: str, experiment: Path, trap: Path) -> None:
    text = CONF_TEXTS[name]
    experiment.write_text(
        f"{GLOBAL}{text}\n" if "defaults" in text else f"{GLOBAL}defaults: [_self_]\n{text}\n"
    )
    with nothing_happens(trap):
        found = load_search(["experiment=evil"], root=trap.parent)
        assert name in IN_SEARCH
        for entry in found.entries:
            for value in entry.dimension.values:  # type: ignore[union-attr]
                compose(found.jobs(0, {entry.key: value})[0])


@pytest.mark.campaign
@pytest.mark.parametrize("name", ATTACKS)
def test_attack_in_the_sections_of_an_experiment(name: str, experiment: Path, trap: Path) -> None:
    experiment.write_text(changed(ATTACKS[name]))
    with nothing_happens(trap):
        compose(["experiment=evil"])


@pytest.mark.campaign
@pytest.mark.parametrize("name", [name for name in ATTACKS if name.startswith("module")])
def test_attack_in_a_network_that_is_only_summarised(name: str, experiment: Path, trap: Path) -> None:
    experiment.write_text(changed(ATTACKS[name]))
    with nothing_happens(trap):
        summary.summarise(["experiment=evil"], {"shape": [1, 8, 8], "outputs": 2})


# Attacks by params.yaml and by the ledger of a search.

SHELL = [
    "; touch canary",
    "&& true",
    "| sh",
    "$(id)",
    "`id`",
    "> canary",
    "'a' ; b",
    'a="$HOME"',
    "a\nb",
    "a\\;b",
    "'",
]


@pytest.mark.parametrize("overrides", SHELL)
def test_overrides_that_a_shell_would_run_are_refused(overrides: str, trap: Path) -> None:
    declared = {"experiments": {"digits_lenet5": {"data": "digits", "overrides": overrides}}}
    Path("params.yaml").write_text(yaml_text(declared))
    with nothing_happens(trap):
        compose_experiments(Path("params.yaml"), Path("out"), root=trap.parent)
    assert not Path("out").exists()


def test_params_file_cannot_grant_what_it_asks_for(trap: Path) -> None:
    overrides = "allowed_targets=[trap_of_a_stranger.] ++optimizer._target_=trap_of_a_stranger.Evil"
    declared = {"experiments": {"digits_lenet5": {"data": "digits", "overrides": overrides}}}
    Path("params.yaml").write_text(yaml_text(declared))
    with nothing_happens(trap):
        compose_experiments(Path("params.yaml"), Path("out"), root=trap.parent)


# The command itself, in a process of its own.

COMMANDS = [
    "callback",
    "log file",
    "logging class",
    "environment",
    "launcher",
    "env",
    "absolute file",
    "search path",
]


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("name", "flag"),
    [
        (name, flag)
        for name in COMMANDS
        for flag in ("", "-m", "--cfg=hydra")
        if (name, flag) != ("env", "--cfg=hydra")  # which prints Hydra's section, and looks up nothing
    ],
)
def test_command_says_one_sentence_and_runs_nothing(name: str, flag: str, trap: Path, tmp_path: Path) -> None:
    for folder in ("pipeline", "conf"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    text = CONF_TEXTS[name]
    first = "" if "defaults" in text else "defaults: [_self_]\n"
    (tmp_path / "conf" / "experiment" / "evil.yaml").write_text(f"{GLOBAL}{first}{text}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.train", *filter(None, [flag]), "experiment=evil"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{trap}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    # Hydra puts a line of its own before the error of a job.
    assert re.fullmatch(r"(Error executing job with overrides: .*\n)?error: .+\n", done.stderr)
    assert not (trap / "canary").exists()
    assert not (tmp_path / "runs").exists()
    assert not list(trap.rglob("__pycache__")), "the trap was imported"
