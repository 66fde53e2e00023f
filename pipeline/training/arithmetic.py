"""How numbers of a run are computed, which decides their last bits: by how many threads, and in which precision.

The number of threads decides in which order sums are added. TF32, in which torch computes convolutions of single
precision on a GPU unless told otherwise, has 10 bits of mantissa instead of 23: scores and predictions would differ
between a GPU and a CPU by up to 0.004, and those of an exported file from those of its run.
"""

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
def declared_arithmetic(settings: TrainerSettings) -> Iterator[None]:
    """Compute as declared inside the block.

    Torch, and the BLAS and OpenMP of numpy and SciPy, use `trainer.threads`; so do processes that are started inside,
    and Lightning, which would choose a number itself for several processes, leaves it. OpenCV keeps its own number, on
    which its results do not depend. Single precision is computed as such: TF32 is off.
    """
    threads = resolve(settings, probe()).threads
    assert threads is not None
    before, variable = torch.get_num_threads(), os.environ.get(VARIABLE)
    with_tf32, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    os.environ[VARIABLE] = str(threads)
    try:
        with threadpool_limits(limits=threads):
            torch.set_num_threads(threads)
            yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.allow_tf32 = with_tf32
        os.environ.pop(VARIABLE, None)
        if variable is not None:
            os.environ[VARIABLE] = variable
