"""Arrays of bytes on disk, written piece by piece as .npy files."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np


def start_array(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Start a .npy file whose bytes are then appended: unlike a memory map, a full disk is an error."""
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
