"""Cache of stage results by key, shared by all commands so that no result is computed twice.

A result is a folder that contains a file `key`, and `digests.json` with the digest of each file. It is stored in
`cache/<stage>/<key>`, and for DVC in `artifacts/<stage>/<experiment>`. Both contain the same files, as hard links if
the file system supports them. A result that was damaged after it was written, as by a power cut, is set aside as
`cache/<stage>/<key>.damaged` and made again; a damaged one in artifacts/ is not used.
"""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Collection
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from pipeline.errors import ConfigError, DamagedFileError, StorageError, warn, warn_of_unwritable
from pipeline.files import sync
from pipeline.runs.lock import locked
from pipeline.storage.sealed import CHANGED, DIGESTS, check_files, read_sealed, write_digests

KEY = "key"
LARGE = 2**24  # bytes; files up to this size are checked whenever a result is used, which takes milliseconds
OWN = ("artifacts", "runs")  # folders of a project that hold nothing but results
MARK = ".convoy"  # in published folders elsewhere, to tell them from folders of a user


def find_or_make(
    root: Path, stage: str, key: str, make: Callable[[Path], None], *, is_thorough: bool = False
) -> Path:
    """Return the folder of a result, computing it at most once across concurrent processes.

    Args:
        root: the project's folder.
        stage: name of the stage, e.g. `prepare`.
        key: digest of everything the result depends on.
        make: writes the result into an empty folder; if it raises, the folder is removed.
        is_thorough: whether to check files of any size for damage; otherwise the caller checks large ones.

    Raises:
        ConfigError: the disk is full.
    """
    home = root / "cache" / stage
    if _has_key(home / key, key) and _damage(home / key, key, is_thorough) is None:
        return home / key  # without the lock, which a read-only disk would not let us hold
    artifacts = root / "artifacts" / stage
    try:
        return _find_or_make_in(home, artifacts, key, make, is_thorough=is_thorough)
    except _Unwritable as unwritable:
        warn_of_unwritable(root / "cache", unwritable.reason)
        return _find_or_make_in(_own_cache() / stage, artifacts, key, make, is_thorough=is_thorough)


class _Unwritable(Exception):
    """Nothing can be made in the cache, for a reason of the disk or of rights."""

    def __init__(self, reason: OSError) -> None:
        self.reason = reason


@cache
def _own_cache() -> Path:
    """Return a temporary cache of this process."""
    folder = tempfile.mkdtemp(prefix="convoy-cache-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _find_or_make_in(
    home: Path, artifacts: Path, key: str, make: Callable[[Path], None], *, is_thorough: bool
) -> Path:
    """Return the folder of a result below `home`, computing it if it is not there undamaged."""
    draft = home / f"{key}.{os.getpid()}.unfinished"
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(home / f"{key}.lock", waits=True))
            if (home / key).is_dir():
                damage = _damage(home / key, key, is_thorough)
                if damage is None:
                    return home / key
                _set_aside(home / key, damage)
            stack.callback(shutil.rmtree, draft, ignore_errors=True)
            _remove_unfinished(home, key)
            draft.mkdir(parents=True)
        except OSError as reason:
            raise _Unwritable(reason) from reason
        try:
            _fill(draft, artifacts, key, make)
            draft.rename(home / key)
            sync(home)
        except OSError as reason:
            if reason.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise StorageError(
                artifacts.name,
                f"cannot write the result ({reason.strerror})",
                hint="free some disk space and try again; partial files were removed",
            ) from None
    return home / key


def publish(
    source: Path,
    target: Path,
    *,
    root: Path,
    names: list[str] | None = None,
    replaces: Collection[str] = (),
) -> None:
    """Copy a folder (or some of its entries) to `target`, completely or not at all, with their digests.

    Files are hard-linked if possible, so that they take no extra disk space. An older result in `target` is removed; a
    folder that was not written by this function, or in which there are other files, is not.

    Args:
        root: the project's folder.
        names: entries to copy; None for all.
        replaces: more entries that an older result may have; they go.

    Raises:
        ConfigError: `target` exists and is not an older result.
        DamagedFileError: a file of `source` does not have the content that was written.
    """
    target = target.resolve()
    is_own = any(target.is_relative_to((root / each).resolve()) for each in OWN)
    names = sorted(each.name for each in source.iterdir()) if names is None else names
    foreign = _foreign(source, target, {*names, *replaces, MARK, DIGESTS}, is_own=is_own)
    if foreign:
        raise _not_replaceable(target, foreign)
    if (source / DIGESTS).exists():
        check_files(source, names)
    for left in target.parent.glob(f".{target.name}.*.unfinished"):  # by a killed process
        shutil.rmtree(left)
    draft = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        draft.mkdir(parents=True)
        for name in names:
            if name != DIGESTS:
                _copy(source / name, draft / name)
        if not is_own:
            (draft / MARK).write_text("An older result, which the next one replaces.\n", encoding="utf-8")
        write_digests(draft)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def refuse_foreign(target: Path, *, root: Path) -> None:
    """Raise before a long computation if `publish` would not write to a folder, since it is not a result.

    Raises:
        ConfigError: `target` exists, is not empty, and was not written by `publish`.
    """
    is_own = any(target.resolve().is_relative_to((root / each).resolve()) for each in OWN)
    if target.exists() and not (
        target.is_dir() and (is_own or not _entries(target) or MARK in _entries(target))
    ):
        raise _not_replaceable(target.resolve(), _entries(target) if target.is_dir() else "a file")


def _foreign(source: Path, target: Path, names: Collection[str], *, is_own: bool) -> list[str] | str:
    """Return what is in the way at `target`: files that no older result has; empty if it may be replaced.

    Args:
        names: entries that an older result may have; inside them, there may be files of the old or new result, and
            pictures.
        is_own: whether the folder lies where a project keeps its results, so that it needs no mark.
    """
    if not target.is_dir():
        return "a file" if target.exists() else []
    entries = _entries(target)
    if not is_own and MARK not in entries:
        return entries
    inside = [file.relative_to(target) for name in entries for file in (target / name).rglob("*")]
    written = _written(target)
    others = [
        file
        for file in inside
        if not (source / file).exists() and file.suffix != ".png" and file.as_posix() not in written
        if not (target / file).is_dir()
    ]
    return [name for name in entries if name not in names] + sorted(file.as_posix() for file in others)


def _written(folder: Path) -> Collection[str]:
    """Return the files that an older result had when it was published."""
    try:
        files: dict[str, str] = read_sealed(folder / DIGESTS, of="")["files"]
    except (FileNotFoundError, DamagedFileError):
        return ()
    return files.keys()


def _entries(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def _not_replaceable(target: Path, found: list[str] | str) -> ConfigError:
    return ConfigError(
        str(target),
        got=found,
        allowed="a new folder, or one that holds only an older result",
        hint="choose another folder",
    )


def _fill(draft: Path, artifacts: Path, key: str, make: Callable[[Path], None]) -> None:
    for folder in sorted(artifacts.glob("[!.]*")):  # hidden: left over from a killed `publish`
        if not _has_key(folder, key):
            continue
        damage = _damage(folder, key, is_thorough=True)
        if damage is None:
            for file in folder.iterdir():
                if file.name != DIGESTS:
                    _copy(file, draft / file.name)
            write_digests(draft)
            return
        warn(
            f"{damage.file} {damage.problem}; {folder} is not used, delete it and `dvc repro` writes it again"
        )
    make(draft)
    (draft / KEY).write_text(key, encoding="utf-8")
    write_digests(draft)


def _has_key(folder: Path, key: str) -> bool:
    try:
        return (folder / KEY).read_bytes() == key.encode()
    except (FileNotFoundError, NotADirectoryError):
        return False


def _damage(folder: Path, key: str, is_thorough: bool) -> DamagedFileError | None:
    """Return the first damage of a result; None if it is whole."""
    if not _has_key(folder, key):  # a result appears with its key
        return DamagedFileError(folder / KEY, CHANGED)
    try:
        check_files(folder, up_to=None if is_thorough else LARGE)
    except DamagedFileError as damage:
        return damage
    return None


def _set_aside(folder: Path, damage: DamagedFileError) -> None:
    aside = folder.with_name(f"{folder.name}.damaged")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    warn(f"{damage.file} {damage.problem}; the folder was set aside as {aside.name} and is made again")


def _remove_unfinished(home: Path, key: str) -> None:
    """Remove the leftovers of killed processes; the caller must hold the lock."""
    for path in home.glob(f"{key}.*.unfinished"):
        shutil.rmtree(path)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link)
    else:
        _link(str(source), str(target))


def _link(source: str, target: str) -> None:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
