"""The leading process (rank 0) of a distributed run, which is the only one that writes files."""

from __future__ import annotations

import os

from pipeline.errors import ConfigError
from pipeline.runs.context import RUN

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # in the order in which Lightning reads them
INTERACTIVE = ("bash", "interactive")  # names of SLURM jobs in which Lightning takes no notice of SLURM


def is_leader() -> bool:
    """Return whether this is the leading process of a distributed run (or the only one).

    Raises:
        ConfigError: the environment gives this process a rank, but nothing shows that it was started by a launcher.
    """
    name = next((name for name in RANKS if name in os.environ), None)
    if name is None:
        return True
    rank = os.environ[name]
    if not (rank.isascii() and rank.isdigit()):
        raise ConfigError(name, got=rank, allowed="the number of a process", hint=f"type: unset {name}")
    if int(rank) > 0 and not has_launcher():
        raise ConfigError(
            name,
            "makes this a further process of a distributed training, but no launcher has started it",
            got=rank,
            hint=f"type: unset {name}; or start the command with torchrun or srun",
        )
    return int(rank) == 0


def has_launcher() -> bool:
    """Return whether Lightning itself, torchrun, srun or another launcher started this process as one of several."""
    variables = os.environ
    is_ours = (
        RUN in variables and "LOCAL_RANK" in variables
    )  # Lightning passes the variables of the leader on
    is_torchrun = "TORCHELASTIC_RUN_ID" in variables
    is_srun = _count("SLURM_NTASKS") > 1 and variables.get("SLURM_JOB_NAME") not in INTERACTIVE
    is_other = "LOCAL_RANK" in variables and "MASTER_ADDR" in variables and _count("WORLD_SIZE") > 1
    return is_ours or is_torchrun or is_srun or is_other


def _count(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else 0
