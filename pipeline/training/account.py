"""What a training says and logs before its first step: its network, and what was made of pretrained weights."""

from __future__ import annotations

import sys

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.network import plan_network
from pipeline.plans.table import as_text
from pipeline.tracking.run import TrackedRun
from pipeline.transfer.matching import Account
from pipeline.transfer.norms import Raised


def log_start(
    declaration: Declaration, tracked: TrackedRun, *, account: Account | None, raised: Raised | None
) -> None:
    """Log the table of the network, and which pretrained weights were loaded, which is also said on stderr.

    Args:
        account: of the pretrained weights; None without any.
        raised: batch norms whose momentum was raised for fine-tuning; None without any.
    """
    tracked.log_text(as_text(plan_network(declaration)), "network.txt")
    if account is not None:
        more = "" if raised is None else f"{raised}\n"
        sys.stderr.write(f"model.pretrained: {declaration.model['pretrained']}: {account}\n{more}")
        tracked.log_text(account.table() + more, "pretrained.txt")
