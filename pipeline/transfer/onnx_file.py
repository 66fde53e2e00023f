"""Weights of the convolutions of an ONNX file, read without a library: nothing of the graph is run.

Source: onnx.proto3 of ONNX 1.17; protocol buffers, encoding of messages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GRAPH = 7  # field of a model
NODE, INITIALISER = 1, 5  # of a graph
INPUT, OPERATOR = 1, 4  # of a node
SIDES, TYPE, FLOATS, NAME, RAW, PLACE = 1, 2, 4, 8, 9, 14  # of a tensor
FLOAT = 1  # the type of float32
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5  # how a value is encoded
LONGEST_VARINT = 10  # bytes
PARTS = ("weight", "bias")  # of a convolution: its second and its third input

Array = NDArray[np.float32]


class OnnxError(ValueError):
    """A file is no ONNX file, or its weights are stored in a way that is not read."""


def read_convolutions(path: Path) -> dict[str, Array]:
    """Return weight (O, I, H, W) and bias (O,) of each convolution, in the order of the graph.

    Raises:
        OnnxError: the file is damaged, or has no convolutions whose weights are in it as float32.
    """
    graphs = [value for field, value in _fields(memoryview(path.read_bytes())) if field == GRAPH]
    tensors: dict[str, Array] = {}
    inputs: list[list[str]] = []
    for field, value in (each for graph in graphs for each in _fields(_message(graph))):
        if field == INITIALISER:
            name, array = _read_tensor(_message(value))
            tensors |= {} if array is None else {name: array}
        elif field == NODE:
            inputs += _inputs_of_convolution(_message(value))
    found = {
        f"{index}.{part}": tensors[name]
        for index, names in enumerate(inputs)
        for part, name in zip(PARTS, names[1:], strict=False)
        if name in tensors
    }
    if not found:
        raise OnnxError("it has no convolution whose weights are in it as float32")
    return found


def _inputs_of_convolution(node: memoryview) -> list[list[str]]:
    """Return the names of the inputs of a node, as the only item, if it is a convolution."""
    fields = list(_fields(node))
    operators = [_text(value) for field, value in fields if field == OPERATOR]
    return [[_text(value) for field, value in fields if field == INPUT]] if operators == ["Conv"] else []


def _read_tensor(tensor: memoryview) -> tuple[str, Array | None]:
    """Return the name of a tensor, and its numbers; None if they are of another type, or in another file."""
    sides: list[int] = []
    name, kind, data = "", 0, b""
    for field, value in _fields(tensor):
        if field == SIDES:
            sides += [value] if isinstance(value, int) else list(_varints(value))
        elif field == NAME:
            name = _text(value)
        elif field == TYPE and isinstance(value, int):
            kind = value
        elif field in (RAW, FLOATS):
            data += bytes(_message(value))
        elif field == PLACE and value:
            return name, None
    if kind != FLOAT:
        return name, None
    if len(data) != 4 * math.prod(sides):
        raise OnnxError(f"its tensor {name} has other numbers than its sides say")
    return name, np.frombuffer(data, "<f4").reshape(sides)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a message: numbers, or the bytes of what is text, a message or packed."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        length = {FIXED_64: 8, FIXED_32: 4}.get(kind)
        if kind == BYTES:
            length, place = _varint(message, place)
        if length is None or place + length > len(message):
            raise OnnxError("it is damaged")
        yield key >> 3, message[place : place + length]
        place += length


def _varints(packed: memoryview) -> Iterator[int]:
    place = 0
    while place < len(packed):
        value, place = _varint(packed, place)
        yield value


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """Return a number, whose bytes hold seven bits each from the lowest on, and the place behind it."""
    value = 0
    for index, byte in enumerate(message[place : place + LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, place + index + 1
    raise OnnxError("it is damaged")


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise OnnxError("it is damaged")
    return value


def _text(value: int | memoryview) -> str:
    return bytes(_message(value)).decode(errors="replace")
