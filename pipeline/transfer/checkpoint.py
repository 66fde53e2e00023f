"""Locate checkpoints of other programs, and read their tensors.

A checkpoint is untrusted: it is loaded as plain tensors (`weights_only`), never unpickled. Besides those of torch, the
weights of convolutions in ONNX files are read, and pickles of NumPy arrays, by an unpickler that knows three names.
"""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, first_line

KEYS = ("pretrained", "freeze", "lr_factors")  # settings of transfer in the section of a network
SETTING = "model.pretrained"  # which names a checkpoint, unless another one does
PACKAGE = "package:"
SUFFIXES = (".pth", ".pt", ".ckpt")
ONNX = ".onnx"  # of the file that is looked for in a package without others
# Keys under which other programs store the weights in a checkpoint.
WRAPPERS = ("state_dict", "model_state_dict", "model")
DEEPEST = 3  # maximum nesting of such keys
ZIP, PICKLE = b"PK\x03\x04", b"\x80"  # the first bytes of a checkpoint; a bare pickle before torch 1.6
OLD_TORCH = (
    b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # a checkpoint before torch 1.6, behind the version of the pickle
)
MODEL = b"\x08"  # the first byte of an ONNX file
NOT_SAVED = "is not one that torch.save writes"


def find_checkpoint(pretrained: str, setting: str = SETTING) -> Path:
    """Return the file that a setting names.

    Args:
        pretrained: a path, or `package:<name>` for the only checkpoint inside an installed package, or
            `package:<name>/<path inside>`.
        setting: for errors, as everywhere here.

    Raises:
        ConfigError: there is no such file or package, or the package holds several checkpoints.
    """
    if not pretrained.startswith(PACKAGE):
        path = Path(pretrained)
        if not path.is_file():
            raise ConfigError(
                setting,
                "there is no such file",
                got=pretrained,
                hint="name a checkpoint, or package:<name>",
            )
        return path
    name, _, inside = pretrained.removeprefix(PACKAGE).partition("/")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            setting,
            "the package is not installed",
            got=pretrained,
            hint="pip install it, or name a file",
        )
    folder = Path(spec.submodule_search_locations[0])
    if inside and (folder / inside).is_file():
        return folder / inside
    files = sorted(folder.rglob("*"))
    found = [path for path in files if path.suffix in SUFFIXES] or [
        path for path in files if path.suffix == ONNX
    ]
    if inside or len(found) != 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found) or "none"
        raise ConfigError(
            setting,
            "it does not name exactly one checkpoint of the package",
            got=pretrained,
            hint=f"write package:{name}/<file>; checkpoints in the package: {names}",
        )
    return found[0]


def check_format(path: Path, setting: str = SETTING) -> None:
    """Check that a file can be read, and looks like one that `torch.save` writes.

    It is neither unpickled nor read as a whole, see `read_tensors`.

    Raises:
        ConfigError: it cannot be read, or is of another kind.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
        problem = _problem_of_zip(path) if start == ZIP else "" if _is_known(path, start) else NOT_SAVED
    except OSError as reason:
        problem = f"cannot be read ({reason.strerror})"
    if problem:
        raise ConfigError(
            setting,
            f"the file {problem}",
            got=str(path),
            hint="name a file that torch.save(model.state_dict(), file) has written",
        )


def _is_known(path: Path, start: bytes) -> bool:
    return start[:1] == (MODEL if path.suffix == ONNX else PICKLE)


def _problem_of_zip(path: Path) -> str:
    """Return why a zip file is not a checkpoint; empty if it may be one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "" if any(name.endswith("data.pkl") for name in archive.namelist()) else NOT_SAVED
    except zipfile.BadZipFile:
        return "is cut off"


def _read_arrays(path: Path) -> dict[str, Any]:
    """Return the tensors of an ONNX file, or of a pickle that torch has not written; empty for other files."""
    import torch

    with path.open("rb") as stream:
        start = stream.read(2 + len(OLD_TORCH))
    if path.suffix == ONNX:
        from pipeline.transfer.onnx_file import read_convolutions

        arrays: dict[str, Any] = dict(read_convolutions(path))
    elif start[:1] == PICKLE and start[2:] != OLD_TORCH:
        from pipeline.transfer.array_pickle import read_arrays

        arrays = dict(read_arrays(path))
    else:
        return {}
    return {name: torch.tensor(array.astype("<f4")) for name, array in arrays.items()}


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_tensors(path: Path, setting: str = SETTING) -> dict[str, Any]:
    """Read a checkpoint's tensors, in their order.

    Raises:
        ConfigError: the file is not a checkpoint, or contains more than plain tensors.
    """
    import torch

    try:
        loaded = _read_arrays(path) or torch.load(path, map_location="cpu", weights_only=True)
    except Exception as reason:
        raise ConfigError(
            setting,
            f"the file cannot be loaded as plain tensors ({first_line(reason)})",
            got=str(path),
            hint="save it again with torch.save(model.state_dict(), file)",
        ) from None
    for key in WRAPPERS * DEEPEST:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    tensors = {}
    if isinstance(loaded, Mapping):
        tensors = {str(key): value for key, value in loaded.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise ConfigError(
            setting,
            "the file contains no named tensors",
            got=str(path),
            hint="save a model's state_dict()",
        )
    return tensors
