"""The file of a data set in conf/data, as `inspect` writes it: only what has no default.

Its second line holds a digest of the lines below, so that a file that somebody edited is told from one that nobody did.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError
from pipeline.files import write_text

SEAL = "# Edit it as you like: it is replaced only while the lines below have the sha256 "
PLAIN = re.compile(r"[A-Za-z_][\w./-]*( [\w./-]+)*", re.ASCII)
# What some reader of YAML takes for something else than text.
RESERVED = {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf"}


def check_free(path: Path) -> None:
    """Check that a file may be written: it does not exist, or is as `write_facts` left it.

    Raises:
        ConfigError: somebody wrote or edited it.
    """
    if path.exists() and not _is_untouched(path.read_text(encoding="utf-8", errors="replace")):
        raise ConfigError(
            str(path),
            "was written or edited by hand, and is left as it is",
            hint=f"type data={path.stem} to inspect what it declares, name=<other> to write another file, or "
            "force=true to replace it",
        )


def write_facts(path: Path, facts: Mapping[str, Any], *, title: str) -> None:
    """Write the file of a data set.

    Args:
        title: what it is, in a line.
    """
    body = "".join(f"{key}: {_text(value)}\n" for key, value in facts.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, f"# {title}\n{SEAL}{_digest(body)}\n{body}")


def _is_untouched(text: str) -> bool:
    head, mark, rest = text.partition(SEAL)
    digest, _, body = rest.partition("\n")
    return bool(mark) and head.count("\n") == 1 and digest == _digest(body)


def _digest(body: str) -> str:
    return sha256(body.encode()).hexdigest()


def _text(value: Any) -> str:
    """Return a value as every reader of YAML understands it."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_text(key)}: {_text(each)}' for key, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, str):
        is_plain = PLAIN.fullmatch(value) and value.lower() not in RESERVED
        return value if is_plain else json.dumps(value.replace("${", "\\${"), ensure_ascii=False)
    return json.dumps(value)
