"""Atomic, durable file writes; names of files; digests that show damage; JSON and YAML; and a cache of computed values.

What is read again has a digest. A file that changes, such as `run.json`, contains its own (`write_sealed`); a folder
that is written once contains `digests.json` (`write_digests`). Digests are SHA-256, which the standard library computes
at 1.5 GB/s with the processor's instructions for it, twice as fast as BLAKE2. CRC-32 would be twice as fast again, but
with 32 bits it confuses files too easily.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError, DamagedFileError, warn, warn_of_unwritable

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
YAMLError = yaml.YAMLError

FORMULA = re.compile("'*[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]")  # with the wide forms of = + - @
NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|nan)", re.IGNORECASE)
MOST_NODES = 20_000  # of YAML with aliases, each replaced by what it stands for
DIGESTS = "digests.json"
SEAL = '{\n "sha256": "'  # how a sealed file starts
SEAL_LENGTH = 64  # hexadecimal digits
CHANGED = "does not have the content that was written"
DIFFERENT = f"does not have the content that {DIGESTS} records"

Known = dict[str, dict[str, str]]

LONGEST_NAME = 100  # bytes in UTF-8: two names and what is added to them fit the 255 bytes of a file's name
PUNCTUATION = "_-.+=@, "
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # by Windows
NAME = (
    f"a name of at most {LONGEST_NAME} bytes, made of letters and digits of any script and of '{PUNCTUATION}', that "
    "begins with a letter, a digit or '_' and ends with neither '.' nor a space"
)


def check_name(path: str, name: object) -> None:
    """Check that a name can safely become part of a path, of a file's name, or of a command.

    Args:
        path: config path of the setting that gives the name.

    Raises:
        ConfigError: it cannot, for example because it contains a slash or is `..`.
    """
    if (
        not isinstance(name, str)
        or not 0 < len(name.encode("utf-8", "surrogatepass")) <= LONGEST_NAME
        or name[0] in PUNCTUATION[1:]
        or name[-1] in ". "
        or RESERVED.fullmatch(name)
        or not all(each in PUNCTUATION or unicodedata.category(each)[0] in "LMN" for each in name)
    ):
        raise ConfigError(path, got=name, allowed=NAME)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a draft beside `path`, to be written by the caller, that then replaces `path` atomically and durably.

    After a crash or a power cut, `path` has either its old or its new content. The draft is removed if the block
    raises.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        sync(draft)
        draft.replace(path)
        sync(path.parent)
    except OSError as reason:  # of a full disk, it does not name the file
        reason.filename = str(path)
        raise
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(folder: Path) -> None:
    """Remove what killed processes have left of `replacing`; nobody else may write to the folder meanwhile."""
    for path in folder.glob(".*"):
        if path.suffix[1:].isdigit() and path.is_file():
            path.unlink()


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a file atomically and durably."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: the file does not contain a JSON object.
    """
    try:
        loaded: Any = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # not UTF-8, or not JSON
        loaded = None
    if not isinstance(loaded, dict):
        raise DamagedFileError(path, "is not a JSON object")
    return loaded


def write_sealed(path: Path, values: Mapping[str, Any], *, of: str) -> None:
    """Write a JSON object with its own digest, atomically and durably.

    Args:
        values: at least one.
        of: what the values belong to, such as the name of a run; not written, but part of the digest.
    """
    rest = f'",{json.dumps(values, indent=1)[1:]}\n'
    write_text(path, f"{SEAL}{_seal(rest.encode(), of)}{rest}")


def read_sealed(path: Path, *, of: str) -> dict[str, Any]:
    """Read a JSON object that was written by `write_sealed`.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFileError: its content is not what was written, or belongs to something else.
    """
    data = path.read_bytes()
    start = len(SEAL)
    seal, rest = data[start : start + SEAL_LENGTH], data[start + SEAL_LENGTH :]
    if not data.startswith(SEAL.encode()) or seal != _seal(rest, of).encode():
        raise DamagedFileError(path, CHANGED if data else "is empty")
    values: dict[str, Any] = json.loads(data)
    del values["sha256"]
    return values


def write_digests(folder: Path, names: Collection[str] | None = None) -> None:
    """Flush the files of a finished folder to the disk, and write their digests to `digests.json` in it.

    Args:
        names: the files, and folders of files, that count; None for all.
    """
    digests = {}
    for name in _files(folder, names):
        sync(folder / name)
        digests[name] = _digest(folder / name, _identity(folder / name))
    for inner in {(folder / name).parent for name in digests} - {folder}:
        sync(inner)
    write_sealed(folder / DIGESTS, {"files": digests}, of="")


def check_files(
    folder: Path, names: Collection[str] | None = None, *, up_to: int | None = None, hint: str = ""
) -> None:
    """Check that the files of a folder have the content that `write_digests` found.

    Args:
        names: the files, and folders of files, that count; None for all.
        up_to: size in bytes above which a file is only looked for; None to read all.
        hint: how to get a damaged file back.

    Raises:
        DamagedFileError: a file is missing or has other content.
    """
    try:
        digests: dict[str, str] = read_sealed(folder / DIGESTS, of="")["files"]
    except FileNotFoundError:
        raise DamagedFileError(folder / DIGESTS, "is missing", hint=hint) from None
    except DamagedFileError as damage:
        raise DamagedFileError(damage.file, damage.problem, hint=hint) from None
    for name, digest in digests.items():
        file = folder / name
        if names is not None and not {name, name.split("/")[0]} & {*names}:
            continue
        if not file.is_file():
            raise DamagedFileError(file, "is missing", hint=hint)
        is_read = up_to is None or file.stat().st_size <= up_to
        if is_read and _digest(file, _identity(file)) != digest:
            raise DamagedFileError(file, DIFFERENT if file.stat().st_size else "is empty", hint=hint)


def read_yaml(text: str, name: str = "YAML") -> Any:
    """Parse YAML.

    Args:
        name: of the file, for errors.

    Raises:
        YAMLError: the text is not valid YAML.
        ConfigError: its aliases make it much larger than it looks.
    """
    check_aliases(text, name)
    return yaml.load(text, Loader=Loader)


def check_aliases(text: str, name: str) -> None:
    """Check how large YAML gets when each alias (`*anchor`) is replaced by what it stands for.

    Raises:
        ConfigError: it gets too large, or an alias stands inside what it names.
    """
    if "&" not in text or "*" not in text:
        return
    try:
        count = _count_nodes(text)
    except YAMLError:
        return  # whoever loads it says why
    if count > MOST_NODES:
        raise ConfigError(
            name, f"its aliases (*) make more than {MOST_NODES:,} values of it", hint="write the values out"
        )


def _count_nodes(text: str) -> float:
    """Return the number of values in YAML with all aliases replaced; infinite if one stands inside what it names."""
    sizes: dict[str | None, float] = {}  # of what each anchor names
    open_nodes: list[tuple[str | None, float]] = []  # anchor, and the number of nodes before it
    count = 0.0
    for event in yaml.parse(text, Loader=Loader):
        if isinstance(event, yaml.AliasEvent):
            count += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append((event.anchor, count))
            sizes[event.anchor] = inf
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            sizes[anchor] = count - before
        elif isinstance(event, yaml.ScalarEvent):
            sizes[event.anchor] = 1
            count += 1
    return count


def yaml_text(values: Any, *, width: int = 80) -> str:
    """Return values as YAML, preserving the order of keys.

    Args:
        width: line width in characters, at which long strings are wrapped.
    """
    text: str = yaml.dump(values, Dumper=Dumper, sort_keys=False, width=width)
    return text


def escape_cells(row: Iterable[object]) -> list[object]:
    """Return a row for a CSV file in which no text is taken for a formula by a spreadsheet, see `unescape_cells`.

    As OWASP recommends, a quote is put before text that begins like one. Numbers stay numbers.
    """
    return [
        f"'{each}" if isinstance(each, str) and FORMULA.match(each) and not NUMBER.fullmatch(each) else each
        for each in row
    ]


def unescape_cells(row: Iterable[str]) -> list[str]:
    """Return the cells of a row as they were before `escape_cells`."""
    return [each[1:] if each.startswith("'") and FORMULA.match(each) else each for each in row]


def memoize_by_mtime(memory: Path, wanted: Iterable[tuple[str, str, Callable[[], str]]]) -> list[str]:
    """Return cached texts, computing those that are missing or out of date.

    Args:
        memory: the JSON file that holds the cache; may be shared by concurrent processes.
        wanted: for each text, its key, the state of its input (see `file_state`), and a function that computes it.
    """
    known, is_new = _recall(memory), False
    texts = []
    for key, state, compute in wanted:
        if known.get(key, {}).get("state") != state:
            known[key], is_new = {"state": state, "text": compute()}, True
        texts.append(known[key]["text"])
    if is_new:
        try:
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_sealed(memory, known, of=memory.name)
        except OSError as reason:
            warn_of_unwritable(memory.parent, reason)
    return texts


def file_state(file: Path) -> str:
    """Return the size and modification time of a file as text, for detecting changes."""
    stat = file.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _recall(memory: Path) -> Known:
    try:
        return dict(_load(memory, file_state(memory)))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except DamagedFileError as damage:
        warn(f"{memory} {damage.problem}; it only saves time, and is written again")
        return {}


@lru_cache(maxsize=4)
def _load(memory: Path, state: str) -> Known:  # noqa: ARG001
    """Read a cache file; `state` makes the in-process cache miss when the file has changed."""
    known: Known = read_sealed(memory, of=memory.name)
    return known


def _seal(rest: bytes, of: str) -> str:
    return hashlib.sha256(of.encode() + b"\n" + rest).hexdigest()


def _files(folder: Path, names: Collection[str] | None) -> list[str]:
    """Return the files in a folder, or those of some of its entries, as relative paths."""
    entries = folder.iterdir() if names is None else (folder / name for name in names)
    found = (
        file
        for entry in entries
        for file in (entry.rglob("*") if entry.is_dir() else [entry])
        if file.is_file()
    )
    return sorted(name for file in found if (name := file.relative_to(folder).as_posix()) != DIGESTS)


def _identity(file: Path) -> tuple[int, ...]:
    stat = file.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@lru_cache(maxsize=1024)
def _digest(file: Path, identity: tuple[int, ...]) -> str:  # noqa: ARG001
    """Return the digest of a file; `identity` makes the in-process cache miss when the file has changed."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
