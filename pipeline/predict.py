r"""Predict images with a trained run: a table, masks in the size of each image, and overlays.

    python -m pipeline.predict digits_lenet5 photographs/ predictions
    python -m pipeline.predict runs/<fingerprint> scans.zip predictions overlays=true views=flips
    python -m pipeline.predict models:/brain@champion slice.png predictions 'ensemble=[runs/<fingerprint>]'
    python -m pipeline.predict digits_lenet5 photographs/ predictions explain=cam
    python -m pipeline.predict faces_triplet photographs/ predictions gallery=people/

The first argument is a folder of runs/ or artifacts/train/, the name of an experiment, the id of an MLflow run or
models:/<name>@<alias>; `ensemble` names more of them, whose outputs are averaged with those of the first. With
`explain=cam`, the overlays show which parts of an image speak for the predicted class. `gallery` is a folder with one
folder of images per person, or whatever has an identity: the nearest of them is whose an image is.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from pipeline.declaration.composition import compose_sections
from pipeline.errors import ConfigError
from pipeline.runs.cache import publish, refuse_foreign
from pipeline.runs.command import exit_on_mistake
from pipeline.training.prediction import OVERLAYS, TABLE, Summary, predict
from pipeline.training.trained import Trained, check_applies, find_trained, open_trained
from pipeline.transforms.settings import refuse_parts

OPTIONS = ("views", "overlays", "ensemble", "explain", "gallery")
USAGE = (
    "usage: python -m pipeline.predict <run> <folder, zip or image> <folder to write> [views=<name>] [overlays=true] "
    "[ensemble=[<run>,...]] [explain=cam] [gallery=<folder>]"
)
OUTPUTS = (TABLE, OVERLAYS, "masks", "predictions", "restorations")  # what an older result may have
WIDTH = 80  # columns of the printed summary
MOST_CLASSES = 12  # in the printed summary


def main() -> None:
    """Predict the images that the command line names."""
    paths, options = sys.argv[1:4], _read_options(sys.argv[4:])
    if len(paths) < 3 or any(each.partition("=")[0] in OPTIONS for each in paths):
        raise ConfigError("python -m pipeline.predict", "expected a run, images and a folder", hint=USAGE)
    root, source, out = Path.cwd(), Path(paths[1]), Path(paths[2])
    runs = _find_runs([paths[0], *_read_names(options.get("ensemble", ""))], options.get("views"), root)
    overlays = _read_flag("overlays", options.get("overlays", "false"))
    explains = _read_explain(options.get("explain"))
    gallery = Path(options["gallery"]) if "gallery" in options else None
    refuse_foreign(out, root=root)
    out.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.absolute().parent) as draft:
        summary = predict(
            runs,
            source,
            Path(draft),
            overlays=overlays,
            explains=explains,
            gallery=gallery,
            progress=_progress,
        )
        publish(Path(draft), out, root=root, replaces=OUTPUTS)
    if not summary.num_predicted:
        raise ConfigError(
            "images",
            f"none of {summary.num_unreadable} could be predicted",
            got=str(source),
            hint=f"{out / TABLE} has the reason of each",
        )
    show(summary, runs, out)


def show(summary: Summary, runs: Sequence[Trained], out: Path) -> None:
    """Print how much was predicted, how often each class, and where the results are."""
    console = Console(width=WIDTH, highlight=False, soft_wrap=True)
    rate = summary.num_predicted / summary.seconds
    names = ", ".join(run.title(Path.cwd()) for run in runs)
    averaged = f"the mean of {len(runs)} runs: " if len(runs) > 1 else ""
    console.print(f"predicted by {averaged}{names}", markup=False)
    console.print(f"{summary.num_predicted:,} images in {summary.seconds:.1f} s, {rate:,.0f} images/s")
    for count, text in (
        (summary.num_unreadable, "not predicted: {:,}, for the reasons in the column `error`"),
        (summary.num_others, "passed over: {:,}, not images by their suffix"),
    ):
        if count:
            console.print(text.format(count))
    if summary.shares:
        table = Table("class", "share", box=None, pad_edge=False)
        table.columns[1].justify = "right"
        for name, share in summary.shares.most_common(MOST_CLASSES):
            table.add_row(name, f"{share:.1%}")
        console.print(table, markup=False)
    console.print(f"{out / TABLE}", markup=False)


def _find_runs(named: Sequence[str], views: str | None, root: Path) -> list[Trained]:
    """Return the named runs, each once, with other views of each image if an option is given."""
    found: dict[Path, Trained] = {}
    for name in named:
        run = find_trained(name, root=root)
        check_applies(run)
        if views is not None:
            section = compose_sections([f"views={views}"])["views"]
            refuse_parts(section)
            run = open_trained(run.folder, root=root, declaration=run.declaration.replace(views=section))
        found.setdefault(run.folder.path.resolve(), run)
    return list(found.values())


def _read_options(given: Sequence[str]) -> dict[str, str]:
    options = {}
    for each in given:
        key, _, value = each.partition("=")
        if key not in OPTIONS:
            raise ConfigError.unknown("python -m pipeline.predict", key, OPTIONS, what="option")
        options[key] = value
    return options


def _read_names(text: str) -> list[str]:
    """Return the names in a list such as `[a,b]`."""
    names = [each.strip() for each in text.removeprefix("[").removesuffix("]").split(",")]
    return [name for name in names if name]


def _read_explain(text: str | None) -> bool:
    if text not in (None, "cam"):
        raise ConfigError("explain", got=text, allowed="cam")
    return text == "cam"


def _read_flag(key: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise ConfigError(key, got=text, allowed="true or false")
    return text == "true"


def _progress(rows: Iterable[Any], count: int) -> Iterable[Any]:
    """Show a bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    return track(
        rows, "predicting", total=count, console=console, transient=True, disable=not console.is_terminal
    )


if __name__ == "__main__":
    exit_on_mistake(main)
