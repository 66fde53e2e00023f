"""The leading process (rank 0) of a distributed run, which is the only one that writes files."""

from __future__ import annotations

import os


def is_leader() -> bool:
    """Return whether this is the leading process of a distributed run (or the only one)."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return next((rank for rank in ranks if rank is not None), "0") == "0"
