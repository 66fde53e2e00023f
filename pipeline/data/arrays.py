"""Arrays on disk, written piece by piece as .npy files."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from numpy.typing import DTypeLike


def start_array(file: BinaryIO, shape: tuple[int, ...], dtype: DTypeLike = np.uint8) -> None:
    """Write the header of a .npy file to append to; unlike a memory map, this raises an error if the disk is full."""
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
