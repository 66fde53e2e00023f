"""Which process of a distributed run writes: the leading one."""

from __future__ import annotations

import os


def is_leader() -> bool:
    """Tell whether this is the leading process of a distributed run (or the only one)."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return next((rank for rank in ranks if rank is not None), "0") == "0"
