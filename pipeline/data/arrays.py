"""Arrays of bytes on disk, written piece by piece as .npy files."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np


def start_array(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Write the header of a .npy file to append to; unlike a memory map, this raises an error if the disk is full."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
