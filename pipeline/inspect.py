"""Look at somebody's images before training: find their format, declare them, and show what is in them.

    python -m pipeline.inspect /data/pets
    python -m pipeline.inspect /data/pets.zip name=cats_and_dogs
    python -m pipeline.inspect /data/cells/labels.csv label=diagnosis
    python -m pipeline.inspect /data/scans/findings.csv label=findings 'separator=|'
    python -m pipeline.inspect /data/cells.zip /data/labels.csv
    python -m pipeline.inspect data=digits

All but the last write `conf/data/<name>.yaml` with what has no default; a file that somebody edited is left alone,
unless `force=true` is given. Every form writes a page with a contact sheet to `artifacts/inspect/<name>/`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.class_names import check_class_names
from pipeline.data.facts import Facts
from pipeline.data.sources import check_source, find_target
from pipeline.data.tables import is_table
from pipeline.declaration import composition
from pipeline.declaration.checks import SCHEMAS
from pipeline.declaration.composition import compose, compose_sections
from pipeline.declaration.conf_files import check_option
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.network import plan_network
from pipeline.declaration.targets import check_section
from pipeline.errors import ConfigError
from pipeline.files import read_yaml
from pipeline.inspection.advice import FEWEST_EPOCHS, estimate_epoch, suggest_epochs, suggest_smaller
from pipeline.inspection.columns import Labels, describe_columns
from pipeline.inspection.declared import check_free, write_facts
from pipeline.inspection.inspected import Inspected, inspect_data
from pipeline.inspection.layout import UNDECIDED, find_layout, make_name
from pipeline.inspection.shown import print_blocks, write_page
from pipeline.runs.command import exit_on_mistake
from pipeline.storage.names import check_name
from pipeline.tasks.demands import Demands, load_demands
from pipeline.training.overview import keep_overview, title

COMMAND = "python -m pipeline.inspect"
OPTIONS = ("name", "label", "separator", "force")
USAGE = (
    f"usage: {COMMAND} <folder, zip or CSV> [<CSV of labels>] [name=<name>] [label=<column>] [separator=<text>] "
    f"[force=true], or "
    f"{COMMAND} data=<name>"
)
WRITTEN = (
    "name",
    "format",
    "root",
    "table",
    "columns",
    "separator",
    "points",
    "shape",
    "classes",
    "mask_values",
    "background",
    "ignore_label",
    "resize",
    "value_range",
    "split",
)
PROVISIONAL = [3, 32, 32]  # shape, until the images have been looked at


def declare(paths: Sequence[Path], options: dict[str, str], *, root: Path) -> Inspected:
    """Inspect a folder, zip or table, and write its file in conf/data.

    Args:
        paths: the folder, zip or table; after a folder or zip, also the table of its labels.

    Raises:
        ConfigError: it holds no images in a known layout, or its file was edited by hand.
    """
    for each in paths:
        if not each.exists():
            raise ConfigError(str(each), "no such file or folder", hint=USAGE)
    path, table = _order(paths)
    name = options.get("name") or make_name(path)
    check_name("name", name)
    check_option(name, path="name")
    file = composition.CONF / "data" / f"{name}.yaml"
    if options.get("force") != "true":
        check_free(file)
    defaults = read_yaml((composition.CONF / "facts" / "default.yaml").read_text(encoding="utf-8"))
    layout = find_layout(
        path,
        table=table,
        labels=Labels(options.get("label"), options.get("separator")),
        max_bytes=defaults["max_file_bytes"],
    )
    place = Path(layout["root"])
    layout["root"] = str(place if not place.is_absolute() else _shorten(place, root))
    open_facts = ["shape", "split", "resize", "value_range"]
    if layout["classes"] == UNDECIDED:
        open_facts.append("classes")
    facts = Facts(**{"name": name, "shape": PROVISIONAL, **defaults, **layout})
    inspected = inspect_data(facts, _folder(root, name), open_facts=open_facts)
    found = {key: getattr(inspected.facts, key) for key in WRITTEN}
    told = {key: value for key, value in found.items() if key not in defaults or value != defaults[key]}
    count = len(inspected.survey.samples)
    typed = " ".join(map(str, paths))
    write_facts(file, told, title=f"{count:,} images, declared by `{COMMAND} {typed}`.")
    print(f"wrote {_shorten(file, root)}")
    if facts.columns is not None:
        print(describe_columns(facts.columns, facts.separator))
    return inspected


def _order(paths: Sequence[Path]) -> tuple[Path, Path | None]:
    """Return the folder, zip or table to inspect, and the table of labels that was named beside it.

    Raises:
        ConfigError: of two paths, not exactly one is a table.
    """
    if len(paths) == 1:
        return paths[0], None
    tables = [path for path in paths if path.is_file() and is_table(path.name)]
    if len(tables) != 1:
        raise ConfigError(
            COMMAND,
            "takes one folder or zip, and one table of labels",
            got=list(map(str, paths)),
            hint=USAGE,
        )
    return next(path for path in paths if path not in tables), tables[0]


def inspect_declared(overrides: Sequence[str], *, root: Path) -> Inspected:
    """Inspect a data set that conf/data declares, with overrides."""
    section = compose_sections(overrides)["data"]
    check_class_names(section)
    check_section(section, SCHEMAS["data"], path="data")
    facts = Facts(**section)
    check_source(facts)
    return inspect_data(facts, _folder(root, facts.name))


@dataclass(frozen=True)
class Advice:
    """What to type after an inspection.

    Args:
        command: that trains.
        reason: why it shortens the training that is declared, in a sentence; empty if it does not.
        problems: why it would fail, in sentences.
        declaration: of the data set with its task and model; None if they do not fit.
    """

    command: str
    reason: str
    problems: list[str]
    declaration: Declaration | None


def advise(inspected: Inspected) -> Advice:
    """Return what to type next."""
    facts = inspected.facts
    overrides = [f"data={facts.name}"]
    demands = load_demands(compose_sections([])["task"])
    if demands.target != find_target(facts):
        name, demands = _find_task(inspected)
        overrides.append(f"task={name}")
    overrides += demands.suggested
    problems = list(inspected.problems)
    declaration, shorter, reason = None, list[str](), ""
    try:
        declaration = compose(overrides)
        shorter, reason = _shorten_training(overrides, declaration, inspected)
    except ConfigError as problem:
        problems.append(str(problem))
    command = f"python -m pipeline.train {shlex.join([*overrides, *shorter])}"
    return Advice(command, reason, problems, declaration)


def _shorten_training(
    overrides: Sequence[str], declaration: Declaration, inspected: Inspected
) -> tuple[list[str], str]:
    """Return overrides with which a first run ends in minutes on a processor, and why in a sentence."""
    epochs, shorter = declaration.trainer.max_epochs, list[str]()
    minutes = whole = estimate_epoch(plan_network(declaration).multiply_adds, inspected.survey)
    shape = suggest_smaller(declaration.data.shape)
    while suggest_epochs(minutes, epochs) < min(epochs, FEWEST_EPOCHS) and shape is not None:
        shorter = [f"data.shape=[{','.join(map(str, shape))}]"]
        smaller = compose([*overrides, *shorter])
        minutes = estimate_epoch(plan_network(smaller).multiply_adds, inspected.survey)
        shape = suggest_smaller(shape)
    few = suggest_epochs(minutes, epochs)
    if few < epochs:
        shorter.append(f"trainer.max_epochs={few}")
    if not shorter:
        return [], ""
    return shorter, (
        f"Without {' and '.join(shorter)}, {epochs} epochs would take about {_duration(epochs * whole)} on two cores "
        f"of a processor; this takes about {_duration(few * minutes)}."
    )


def _duration(minutes: float) -> str:
    return f"{minutes / 60:.0f} h" if minutes >= 120 else f"{max(1, round(minutes))} min"


def _find_task(inspected: Inspected) -> tuple[str, Demands]:
    """Return the first task of conf/ that takes the kind of target and suits what was found."""
    kind, targets = find_target(inspected.facts), [sample.target for sample in inspected.survey.samples]
    files = sorted((composition.CONF / "task").glob("*.yaml"))
    tasks = {file.stem: load_demands(read_yaml(file.read_text(encoding="utf-8"))) for file in files}
    able = {name: demands for name, demands in tasks.items() if demands.target == kind}
    return next((each for each in able.items() if each[1].suits(targets)), next(iter(able.items())))


def main() -> None:
    """Inspect the data set that the command line names, and say what to type next."""
    root, arguments = Path.cwd(), sys.argv[1:]
    paths = [argument for argument in arguments if "=" not in argument or Path(argument).exists()]
    others = [argument for argument in arguments if argument not in paths]
    options = {key: value for key, _, value in (other.partition("=") for other in others)}
    if (
        len(paths) in (1, 2)
        and options.keys() <= set(OPTIONS)
        and options.get("force", "false") in ("true", "false")
    ):
        inspected = declare([Path(path) for path in paths], options, root=root)
    elif not paths and "data" in options:
        inspected = inspect_declared(others, root=root)
    else:
        raise ConfigError(COMMAND, "names neither one path nor data=<name>", got=arguments, hint=USAGE)
    advice = advise(inspected)
    folder = _folder(root, inspected.facts.name)
    print_blocks(title(inspected), inspected.blocks)
    page = write_page(folder, title(inspected), inspected.blocks, inspected.survey, advice.command)
    if advice.declaration is not None:
        keep_overview(advice.declaration, inspected, folder, root=root)
    print(f"\n{_shorten(page, root)} shows it with images.")
    for problem in advice.problems:
        print(f"Training would refuse it: {problem}")
    print(f"Type next: {advice.command}")
    if advice.reason:
        print(advice.reason)


def _folder(root: Path, name: str) -> Path:
    return root / "artifacts" / "inspect" / name


def _shorten(path: Path, root: Path) -> Path:
    """Return a path relative to the project if it lies inside."""
    return path.relative_to(root) if path.is_relative_to(root) else path


if __name__ == "__main__":
    exit_on_mistake(main)
