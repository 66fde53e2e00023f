"""Names that become parts of paths or of keys in MLflow, and text that becomes cells of CSV files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from pipeline.errors import ConfigError

FORMULA = re.compile("'*[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]")  # with the wide forms of = + - @
NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|nan)", re.IGNORECASE)
LONGEST_NAME = 100  # bytes in UTF-8: two names and what is added to them fit the 255 bytes of a file's name
PUNCTUATION = "_-.+=@, "
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # by Windows
LONGEST_KEY = 250  # characters of the name of a metric or param in MLflow
NOT_IN_KEYS = re.compile(r"[^\w .-]")
ESCAPED = re.compile(r":([0-9a-f]*):")
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


def escape_key(name: str) -> str:
    """Return the name under which MLflow takes a metric, a param or a folder of artifacts, see `unescape_key`.

    Letters and digits of any script, `_`, `-`, `.` and spaces stay, and `/` separates parts. Any other character, and
    a dot at the start of a part, becomes its code point in hexadecimal between colons, as `(` becomes `:28:`; a part
    without characters becomes `::`. So different names stay different.
    """
    return "/".join(_escape_part(part) for part in name.split("/"))


def _escape_part(part: str) -> str:
    start = ":2e:" if part.startswith(".") else ""
    rest = part[1:] if start else part
    return start + NOT_IN_KEYS.sub(lambda found: f":{ord(found[0]):x}:", rest) or "::"


def unescape_key(key: str) -> str:
    """Return the name from which `escape_key` made a key."""
    return ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else "", key)


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
