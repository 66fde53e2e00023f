"""Stage `compose`: conf/ and overrides to one resolved, checked declaration per experiment.

    python -m pipeline.compose artifacts/compose/digits_lenet5.yaml experiment=digits_lenet5

A bad declaration is refused here, in well under two seconds and before any data are read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.declaration.composition import compose
from pipeline.declaration.digests import digest
from pipeline.errors import ConfigError, exit_on_mistake
from pipeline.files import write_text, yaml_text
from pipeline.trials.space import options_of, space_of


def declaration_of(overrides: Sequence[str]) -> dict[str, Any]:
    """Compose a declaration; with a search, add the digest of all options that its space can pick.

    Those lie in conf/, not in the declaration: by their digest DVC tells that one of them has changed.
    """
    config = compose(overrides)
    space = config["search"]["space"]
    if space:
        config["digest"]["options"] = digest(options_of(space_of(space), overrides))
    return config


def main() -> None:
    """Write one resolved declaration."""
    if len(sys.argv) < 2 or not sys.argv[1].endswith(".yaml"):
        raise ConfigError(
            "usage: python -m pipeline.compose <file to write>.yaml experiment=<name> [overrides]"
        )
    path = Path(sys.argv[1])
    header = "# Written by the stage compose from conf/; edit that, not this.\n"
    text = header + yaml_text(declaration_of(sys.argv[2:]), width=100)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


if __name__ == "__main__":
    exit_on_mistake(main)
