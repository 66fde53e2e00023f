"""The number of threads that compute a run, which decides in which order sums are added."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

from pipeline.declaration.hardware import probe, resolve
from pipeline.declaration.settings import TrainerSettings

VARIABLE = "OMP_NUM_THREADS"


@contextmanager
def declared_threads(settings: TrainerSettings) -> Iterator[None]:
    """Let torch, and the BLAS and OpenMP of numpy and SciPy, use `trainer.threads` inside the block.

    Processes that are started inside use as many, and Lightning, which would choose a number itself for several
    processes, leaves it. OpenCV keeps its own: its results do not depend on their number.
    """
    threads = resolve(settings, probe()).threads
    assert threads is not None
    before, variable = torch.get_num_threads(), os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(threads)
    try:
        with threadpool_limits(limits=threads):
            torch.set_num_threads(threads)
            yield
    finally:
        torch.set_num_threads(before)
        os.environ.pop(VARIABLE, None)
        if variable is not None:
            os.environ[VARIABLE] = variable
