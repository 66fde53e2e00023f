"""The leader: one of the processes that a launcher started; a rank without a launcher is a mistake."""

import os
import subprocess
import sys

import pytest

from pipeline.runs.context import RUN
from pipeline.runs.leader import is_leader
from tests.refusals import refused

LAUNCHERS = (
    "RANK",
    "LOCAL_RANK",
    "SLURM_PROCID",
    "WORLD_SIZE",
    "MASTER_ADDR",
    "TORCHELASTIC_RUN_ID",
    "SLURM_NTASKS",
    RUN,
)
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "2"}
BY_HAND = {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": "2"}

LEADS: list[tuple[dict[str, str], bool]] = [
    ({}, True),
    ({"RANK": "0"}, True),
    ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}, True),
    ({"RANK": "0", "LOCAL_RANK": "1"}, True),
    ({"LOCAL_RANK": "1", RUN: "runs/a"}, False),
    ({"RANK": "1", "LOCAL_RANK": "1", **TORCHRUN}, False),
    ({"RANK": "2", "LOCAL_RANK": "0", **TORCHRUN}, False),
    ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_JOB_NAME": "train"}, False),
    ({"LOCAL_RANK": "1", **BY_HAND}, False),
]
REFUSED: list[dict[str, str]] = [
    {"RANK": "1"},
    {"LOCAL_RANK": "3"},
    {"SLURM_PROCID": "1"},
    {"SLURM_PROCID": "1", "SLURM_NTASKS": "1"},
    {"SLURM_PROCID": "1", "SLURM_NTASKS": "many"},
    {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_JOB_NAME": "interactive"},
    {"RANK": "1", RUN: "runs/a"},
    {"RANK": "1", **BY_HAND},
    {"LOCAL_RANK": "1", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"},
]


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*LAUNCHERS, "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)


def export(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("variables", "leads"), LEADS, ids=str)
def test_process_of_a_launcher_knows_whether_it_leads(
    variables: dict[str, str], leads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(variables, monkeypatch)
    assert is_leader() == leads


@pytest.mark.parametrize("variables", REFUSED, ids=str)
def test_rank_without_a_launcher_is_refused(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export(variables, monkeypatch)
    name, rank = next(iter(variables.items()))
    problem = "makes this a further process of a distributed training, but no launcher has started it"
    hint = f"type: unset {name}; or start the command with torchrun or srun"
    with refused(name, got=rank, text=f"{name}: {problem}, got '{rank}'; {hint}"):
        is_leader()


@pytest.mark.parametrize("rank", ["", "one", "-1", "²"])
def test_rank_that_is_no_number_is_refused(rank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    export({"RANK": rank, **TORCHRUN}, monkeypatch)
    with refused(
        "RANK", got=rank, text=f"RANK must be the number of a process, got {rank!r}; type: unset RANK"
    ):
        is_leader()


@pytest.mark.parametrize("module", ["pipeline.train", "pipeline.search"])
def test_command_with_a_rank_left_in_the_shell_ends_at_once(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "experiment=digits_lenet5"],
        env={**os.environ, "SLURM_PROCID": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: SLURM_PROCID: ")
    assert done.stderr.count("\n") == 1
