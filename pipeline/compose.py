"""Stage `compose`: resolve conf/ and params.yaml into one validated declaration per experiment.

    python -m pipeline.compose params.yaml artifacts/compose
    python -m pipeline.compose digits.yaml experiment=digits_lenet5 optimizer.lr=0.02

An invalid declaration is rejected here, in well under two seconds and before any data are read. Each `<name>.yaml`
is accompanied by `<name>.json` with the digests that the other stages of dvc.yaml depend on.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.digests import digest
from pipeline.declaration.grants import grant_typed
from pipeline.declaration.keys import write_declaration
from pipeline.errors import ConfigError, exit_on_mistake
from pipeline.files import read_yaml
from pipeline.trials.space import digest_options, parse_space


def compose_experiments(params: Path, out: Path, *, root: Path) -> None:
    """Write the declaration of every experiment in a params file, and remove all others.

    Raises:
        ConfigError: one of them cannot work, or the folder holds other files; nothing has been written then.
    """
    experiments = read_yaml(params.read_text(encoding="utf-8"))["experiments"]
    overrides = {
        name: [f"experiment={name}", *_split(name, experiment["overrides"] or "", params)]
        for name, experiment in experiments.items()
    }
    declarations = {name: compose(each) for name, each in overrides.items()}
    out.mkdir(parents=True, exist_ok=True)
    old = _written_before(out)
    for name, declaration in declarations.items():
        options = _digest_options(declaration, overrides[name], root=root)
        write_declaration(declaration, out / f"{name}.yaml", root=root, options=options)
    for file in old:
        if file.stem not in declarations:
            file.unlink()


def _split(name: str, overrides: str, params: Path) -> list[str]:
    """Split the overrides of an experiment like a shell, as dvc.yaml passes them to one.

    Raises:
        ConfigError: the shell would do more than split them.
    """
    unquoted = re.sub("'[^']*'", "", overrides)
    if not re.fullmatch(r"[\w-]+", name) or re.search(r"[^\w =.,:+~@/%[\]-]", unquoted):
        raise ConfigError(
            f"{params}: experiments.{name}",
            "dvc.yaml passes names and overrides to a shell, which gives some characters a meaning",
            got=overrides,
            hint="put each override into single quotes, such as 'model.width=[1]'",
        )
    return shlex.split(overrides)


def _written_before(folder: Path) -> list[Path]:
    """Return the files that an earlier composition has left.

    Raises:
        ConfigError: there are others, which are not ours to remove.
    """
    written = [
        file for file in folder.glob("*.yaml") if file.read_text(encoding="utf-8").startswith("# Written by ")
    ]
    files = {*written, *(file.with_suffix(".json") for file in written)}
    foreign = sorted(file.name for file in folder.iterdir() if file not in files)
    if foreign:
        raise ConfigError(
            str(folder),
            got=foreign,
            allowed="a new folder, or one that holds only composed declarations",
            hint="choose another folder",
        )
    return sorted(file for file in files if file.exists())


def _digest_options(declaration: Declaration, overrides: Sequence[str], *, root: Path) -> str:
    """Return the digest of all options that a space can pick: they lie in conf/, not in the declaration."""
    space = declaration.search.space
    return digest(digest_options(parse_space(space), overrides, root=root) if space else {})


def main() -> None:
    """Write the declarations of a params file, or a single one."""
    arguments = sys.argv[1:]
    if len(arguments) == 2 and "=" not in arguments[1]:
        compose_experiments(Path(arguments[0]), Path(arguments[1]), root=Path.cwd())
        return
    if not arguments or not arguments[0].endswith(".yaml"):
        raise ConfigError(
            "python -m pipeline.compose",
            "names neither params.yaml and a folder, nor a file to write",
            got=arguments,
            hint="usage: python -m pipeline.compose <file to write>.yaml experiment=<name> [overrides]",
        )
    grant_typed(arguments[1:])
    declaration = compose(arguments[1:])
    options = _digest_options(declaration, arguments[1:], root=Path.cwd())
    write_declaration(declaration, Path(arguments[0]), root=Path.cwd(), options=options)


if __name__ == "__main__":
    exit_on_mistake(main)
