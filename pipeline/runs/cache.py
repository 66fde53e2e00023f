"""Cache of stage results by key, shared by all commands so that no result is computed twice.

A result is a folder that contains a file `key`, and `digests.json` with the digest of each file. It is stored in
`cache/<stage>/<key>`, and for DVC in `artifacts/<stage>/<experiment>`. Both contain the same files, as hard links if
the file system supports them. A result that was damaged after it was written, as by a power cut, is set aside as
`cache/<stage>/<key>.damaged` and made again; a damaged one in artifacts/ is not used.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from pipeline.errors import ConfigError, DamagedFileError, warn
from pipeline.files import CHANGED, DIGESTS, check_files, sync, write_digests
from pipeline.runs.lock import locked

KEY = "key"
LARGE = 2**24  # bytes; files up to this size are checked whenever a result is used, which takes milliseconds


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
    with locked(home / f"{key}.lock", waits=True):
        if (home / key).is_dir() and (damage := _damage(home / key, key, is_thorough)) is not None:
            _set_aside(home / key, damage)
        if not (home / key).is_dir():
            _remove_unfinished(home, key)
            draft = home / f"{key}.{os.getpid()}.unfinished"
            try:
                draft.mkdir(parents=True)
                _fill(draft, root / "artifacts" / stage, key, make)
                draft.rename(home / key)
                sync(home)
            except OSError as reason:
                if reason.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise
                raise ConfigError(
                    stage,
                    f"cannot write the result ({reason.strerror})",
                    hint="free some disk space and try again; partial files were removed",
                ) from None
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return home / key


def publish(
    source: Path, target: Path, *, names: list[str] | None = None, replaces: Collection[str] = ()
) -> None:
    """Copy a folder (or some of its entries) to `target`, completely or not at all, with their digests.

    Files are hard-linked if possible, so that they take no extra disk space.

    Args:
        names: entries to copy; None for all.
        replaces: more entries that an older result may have; they go.

    Raises:
        ConfigError: `target` exists and is not an older result.
        DamagedFileError: a file of `source` does not have the content that was written.
    """
    target = target.resolve()
    names = sorted(each.name for each in source.iterdir()) if names is None else names
    known = {*names, *replaces, DIGESTS}
    foreign = sorted({each.name for each in target.iterdir()} - known) if target.is_dir() else []
    if foreign or (target.exists() and not target.is_dir()):
        raise ConfigError(
            str(target),
            got=foreign or "a file",
            allowed="a new folder, or one that holds only an older result",
            hint="choose another folder",
        )
    if (source / DIGESTS).exists():
        check_files(source, names)
    draft = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        draft.mkdir(parents=True)
        for name in names:
            if name != DIGESTS:
                _copy(source / name, draft / name)
        write_digests(draft)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


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
