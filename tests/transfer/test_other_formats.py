"""Weights that other libraries write: convolutions of ONNX files, pickles of NumPy arrays; hostile ones run nothing."""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.transfer.checkpoint import check_format, find_checkpoint, read_tensors
from tests.refusals import refused

RANDOM = np.random.default_rng(0)
KERNEL, BIAS = RANDOM.normal(size=(3, 2, 4, 5)).astype("f4"), RANDOM.normal(size=5).astype("f4")
SETTING = "model.pretrained"


def saved(folder: Path, content: Any, name: str = "weights.ckpt") -> Path:
    """Pickle a value as NumPy 1 does, under the names of then."""
    data = content if isinstance(content, bytes) else pickle.dumps(content, protocol=3)
    (folder / name).write_bytes(data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    return folder / name


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["f2", "<f4", ">f4", "f8"])
def test_kernels_of_nested_mappings_become_weights(kind: str, order: str, tmp_path: Path) -> None:
    kernel = np.array(KERNEL, kind, order=order)
    path = saved(
        tmp_path, {"VGG_0": {"Conv_0": {"kernel": kernel, "bias": BIAS}, "Dense_0": {"kernel": BIAS[None]}}}
    )
    check_format(path)
    tensors = read_tensors(path)
    assert list(tensors) == ["VGG_0.Conv_0.weight", "VGG_0.Conv_0.bias", "VGG_0.Dense_0.weight"]
    wanted = kernel.astype("f4").transpose(3, 2, 0, 1)
    assert torch.equal(tensors["VGG_0.Conv_0.weight"], torch.from_numpy(wanted.copy()))
    assert torch.equal(tensors["VGG_0.Dense_0.weight"], torch.from_numpy(BIAS[:, None]))


class Calls:
    """What pickles to a call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.called = (function, arguments)

    def __reduce__(self) -> Any:
        return self.called


class Named:
    """What pickles to the bare name of a class."""


HOSTILE: dict[str, Callable[[Path], Any]] = {
    "a command": lambda marker: {"a": Calls(os.system, f"touch {marker}")},
    "a file that is opened": lambda marker: {"a": Calls(open, str(marker), "w")},
    "code": lambda marker: {"a": Calls(eval, f"open({str(marker)!r}, 'w')")},
    "another pickle in NumPy": lambda marker: {"a": Calls(np.load, str(marker))},
    "an own class": lambda marker: {"a": Named()},
    "the attribute of an attribute": lambda marker: {"a": Calls(getattr, "text", "upper")},
    "array of objects": lambda marker: {"a": np.array([Calls(os.system, f"touch {marker}")], object)},
    "numbers of another type": lambda marker: {"a": np.arange(3)},
    "persistent id": lambda marker: b"\x80\x02X\x01\x00\x00\x00aQ.",
    "call of the array class": lambda marker: b"\x80\x02cnumpy\nndarray\n(K\x05\x85\x85R.",
    "call of what is stored": lambda marker: (
        b"\x80\x02}X\x01\x00\x00\x00acnumpy.core.multiarray\n_reconstruct\n)R)bs."
    ),
    "fewer numbers than its sides": lambda marker: pickle.dumps({"a": BIAS}, 3).replace(b"K\x05", b"K\x06"),
    "a pickle that is cut off": lambda marker: pickle.dumps({"a": BIAS}, 3)[:-9],
    "nothing": lambda marker: b"\x80\x02",
    "no arrays": lambda marker: {"a": 1},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_pickle_of_anything_else_is_refused_and_runs_nothing(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = saved(tmp_path, HOSTILE[name](marker))
    with refused(SETTING, got=str(path)):
        read_tensors(path)
    assert not marker.exists()


def test_name_that_a_pickle_asks_for_is_told(tmp_path: Path) -> None:
    path = saved(tmp_path, {"a": Calls(os.system, "true")})
    with refused(SETTING) as caught:
        read_tensors(path)
    assert "it asks for posix.system, which is none of the three names that are known" in str(caught.value)


def test_mapping_that_contains_itself_ends(tmp_path: Path) -> None:
    loop: dict[str, Any] = {"a": BIAS}
    loop["b"] = loop
    assert len(read_tensors(saved(tmp_path, loop))) == 8


def varint(value: int) -> bytes:
    more, low = divmod(value, 128)
    return bytes([low | 128]) + varint(more) if more else bytes([low])


def field(number: int, value: int | bytes) -> bytes:
    """Encode a field of a message, as protocol buffers do."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(
    name: str, array: np.ndarray[Any, Any], *, kind: int = 1, is_packed: bool = False, data: Any = None
) -> bytes:
    sides = b"".join(map(varint, array.shape))
    start = field(1, sides) if is_packed else b"".join(field(1, side) for side in array.shape)
    numbers = array.astype("<f4").tobytes() if data is None else data
    return field(5, start + field(2, kind) + field(4 if is_packed else 9, numbers) + field(8, name.encode()))


def node(operator: str, *inputs: str) -> bytes:
    return field(1, b"".join(field(1, each.encode()) for each in inputs) + field(4, operator.encode()))


def model(*parts: bytes) -> bytes:
    return field(1, 7) + field(2, b"test") + field(7, b"".join(parts))


FILTERS = [RANDOM.normal(size=shape).astype("f4") for shape in ((4, 3, 3, 3), (2, 4, 1, 1))]
GRAPH = (
    tensor("second", FILTERS[1], is_packed=True),
    tensor("first", FILTERS[0]),
    tensor("shift", BIAS[:4]),
    tensor("ids", np.zeros(2), kind=7, data=bytes(16)),
    node("Conv", "image", "first", "shift"),
    node("Relu", "a"),
    node("Conv", "b", "second"),
)


def test_convolutions_of_an_onnx_file_are_read_in_the_order_of_its_graph(tmp_path: Path) -> None:
    path = saved(tmp_path, model(*GRAPH), "net.onnx")
    check_format(path)
    tensors = read_tensors(path)
    assert list(tensors) == ["0.weight", "0.bias", "1.weight"]
    for name, array in zip(tensors, (FILTERS[0], BIAS[:4], FILTERS[1]), strict=True):
        assert torch.equal(tensors[name], torch.from_numpy(array))


def test_onnx_file_of_the_library_itself_is_read(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    initialisers = [
        onnx.numpy_helper.from_array(FILTERS[0], "w"),
        onnx.numpy_helper.from_array(BIAS[:4], "b"),
    ]
    convolution = onnx.helper.make_node("Conv", ["x", "w", "b"], ["y"])
    graph = onnx.helper.make_graph([convolution], "g", [], [], initialisers)
    onnx.save(onnx.helper.make_model(graph), tmp_path / "net.onnx")
    tensors = read_tensors(tmp_path / "net.onnx")
    assert torch.equal(tensors["0.weight"], torch.from_numpy(FILTERS[0]))


BROKEN = {
    "cut off": model(*GRAPH)[:-7],
    "other numbers": model(tensor("first", FILTERS[0], data=bytes(8)), node("Conv", "x", "first")),
    "group that is no longer used": struct.pack("B", 8) + b"\x07" + struct.pack("B", 3 << 3 | 3),
    "number without end": b"\x08" + b"\xff" * 12,
    "number where a message belongs": field(1, 7) + field(7, field(5, 3)),
    "no convolution": model(tensor("first", FILTERS[0])),
    "weights of another type": model(tensor("first", FILTERS[0], kind=10), node("Conv", "x", "first")),
    "weights in another file": model(
        field(5, field(1, 3) + field(2, 1) + field(8, b"first") + field(14, 1)), node("Conv", "x", "first")
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_onnx_file_without_weights_or_damaged_is_refused(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path, BROKEN[name], "net.onnx")
    with refused(SETTING, got=str(path)):
        read_tensors(path)


def test_file_that_only_has_the_suffix_is_refused_on_composition(tmp_path: Path) -> None:
    with refused(SETTING, hint="name a file that"):
        check_format(saved(tmp_path, b"PNG", "net.onnx"))


def test_package_whose_only_weights_are_an_onnx_file_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "only_onnx" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise SystemExit")
    (folder / "net.onnx").write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_checkpoint("package:only_onnx") == folder / "net.onnx"
    (folder / "net.pth").write_bytes(b"")
    assert find_checkpoint("package:only_onnx") == folder / "net.pth"
