"""Stage `compose`: resolve conf/ and params.yaml into one validated declaration per experiment.

    python -m pipeline.compose params.yaml artifacts/compose
    python -m pipeline.compose digits.yaml experiment=digits_lenet5 optimizer.lr=0.02

An invalid declaration is rejected here, in well under two seconds and before any data are read. Each `<name>.yaml`
is accompanied by `<name>.json` with the digests that the other stages of dvc.yaml depend on.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.digests import digest
from pipeline.declaration.experiments import is_declaration, is_digests, read_experiments, refuse_foreign
from pipeline.declaration.grants import grant_typed
from pipeline.declaration.keys import write_declaration
from pipeline.errors import ConfigError, exit_on_mistake
from pipeline.trials.space import digest_options, parse_space


def compose_experiments(params: Path, out: Path, *, root: Path) -> None:
    """Write the declaration of every experiment in a params file, and remove all others.

    Raises:
        ConfigError: one of them cannot work, or the folder holds other files; nothing has been written then.
    """
    overrides = {name: [f"experiment={name}", *given] for name, given in read_experiments(params).items()}
    declarations = {name: compose(each) for name, each in overrides.items()}
    out.mkdir(parents=True, exist_ok=True)
    old = _written_before(out)
    for name, declaration in declarations.items():
        options = _digest_options(declaration, overrides[name], root=root)
        write_declaration(declaration, out / f"{name}.yaml", root=root, options=options)
    for file in old:
        if file.stem not in declarations:
            file.unlink()


def _written_before(folder: Path) -> list[Path]:
    """Return the files that an earlier composition has left.

    Raises:
        ConfigError: there are others, which are not ours to remove.
    """
    written = [file for file in folder.glob("*.yaml") if is_declaration(file)]
    files = {
        *written,
        *(file.with_suffix(".json") for file in written),
        *filter(is_digests, folder.glob("*.json")),
    }
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
    path = Path(arguments[0])
    refuse_foreign(path)
    grant_typed(arguments[1:])
    declaration = compose(arguments[1:])
    options = _digest_options(declaration, arguments[1:], root=Path.cwd())
    write_declaration(declaration, path, root=Path.cwd(), options=options)


if __name__ == "__main__":
    exit_on_mistake(main)
