"""What a training says and logs before its first step: its network, and what became of its settings here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.network import plan_network
from pipeline.plans.table import as_text
from pipeline.tracking.run import TrackedRun
from pipeline.training.assemble import ResolvedTask
from pipeline.training.selection import Selection
from pipeline.transfer.matching import Account
from pipeline.transfer.norms import Raised


def log_start(
    declaration: Declaration,
    tracked: TrackedRun,
    *,
    account: Account | None,
    raised: Raised | None,
    task: ResolvedTask,
    selection: Selection,
) -> None:
    """Log the table of the network, which pretrained weights were loaded, and what the training split decided.

    All but the table is also said on stderr.

    Args:
        account: of the pretrained weights; None without any.
        raised: batch norms whose momentum was raised for fine-tuning; None without any.
        task: what the training split decided.
        selection: which score selects the epoch.
    """
    tracked.log_text(as_text(plan_network(declaration)), "network.txt")
    if account is not None:
        more = "" if raised is None else f"{raised}\n"
        sys.stderr.write(f"model.pretrained={declaration.model['pretrained']}: {account}\n{more}")
        tracked.log_text(account.table() + more, "pretrained.txt")
    resolved = "".join(
        f"task.{key}={declaration.task[key]}: {_text(value)}\n"
        for key, value in task.settings.items()
        if value != declaration.task[key]
    )
    resolved += "".join(f"{sentence}\n" for sentence in task.remarks)
    if selection.reason:
        sys.stderr.write(
            f"trainer.select: {selection.score}, as {selection.reason}; set trainer.select to choose another score\n"
        )
    if resolved:
        sys.stderr.write(resolved)
        tracked.log_text(resolved, "resolved_task.txt")


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)
