"""Atomic, durable file writes; names of files; JSON and YAML; and a persistent cache of values computed from files."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import inf
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError, DamagedFileError, warn_of_unwritable

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
YAMLError = yaml.YAMLError

FORMULA = re.compile("'*[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]")  # with the wide forms of = + - @
NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|nan)", re.IGNORECASE)
MOST_NODES = 20_000  # of YAML with aliases, each replaced by what it stands for

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
            write_text(memory, json.dumps(known, indent=1))
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
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return {}


@lru_cache(maxsize=4)
def _load(memory: Path, state: str) -> Known:  # noqa: ARG001
    """Read a cache file; `state` makes the in-process cache miss when the file has changed."""
    known: Known = json.loads(memory.read_text(encoding="utf-8"))
    return known
