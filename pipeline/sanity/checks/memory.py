"""How much memory was used at most, and how much the layers of a batch need."""

from __future__ import annotations

import resource
import sys

import torch

from pipeline.plans.table import bytes_text, totals
from pipeline.sanity.finding import COST, OK, Check, Finding
from pipeline.sanity.subject import Subject


def run(subject: Subject) -> Finding:
    """Tell the most memory that these checks used, and what the maps of a training batch take."""
    assert subject.short.losses  # it has been trained
    if subject.device.type == "cuda":
        used, where = torch.cuda.max_memory_allocated(subject.device), "of the GPU"
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        used, where = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "of this process"
    batch_size = subject.declaration.trainer.batch_size
    maps = totals(subject.network)["activation_bytes"] * batch_size
    figure = (
        f"{bytes_text(used)} {where} at most; the maps of a batch of {batch_size} take {bytes_text(maps)}"
    )
    return Finding(OK, figure, numbers={"bytes": used, "bytes_of_maps": maps})


CHECK = Check("memory", COST, run)
