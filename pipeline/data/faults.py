"""What is wrong with the annotations of a data set: one error tells all of it."""

from __future__ import annotations

from pipeline.errors import ConfigError

SHOWN = 5  # wrong annotations of a kind that an error shows


class Faults:
    """The wrong annotations of a data set.

    Args:
        path: of the setting that names them, or the name of their file or archive.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._found: dict[tuple[str, str], list[str]] = {}  # what is wrong and the way out -> where

    def note(self, problem: str, where: str, *, way: str) -> None:
        """Note a fault, such as `boxes of no area`, where it is, and the way out."""
        self._found.setdefault((problem, way), []).append(where)

    def check(self) -> None:
        """Raise if there are faults.

        Raises:
            ConfigError: it tells how many there are of each kind, and the first of them.
        """
        if self._found:
            problems = [
                f"{problem}: {len(places):,} ({', '.join(places[:SHOWN])}{', ...' if len(places) > SHOWN else ''})"
                for (problem, _), places in self._found.items()
            ]
            ways = dict.fromkeys(way for _, way in self._found)
            raise ConfigError(self._path, f"has {', and '.join(problems)}", hint="; ".join(ways))
