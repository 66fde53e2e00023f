"""Stage `report`: all evaluated experiments on one page, `report.html` and `report.md`.

python -m pipeline.report artifacts artifacts/report
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline.declaration.loading import load
from pipeline.declaration.network import plan_network
from pipeline.errors import ConfigError
from pipeline.files import read_json, write_text
from pipeline.inspection.shown import Overview
from pipeline.pages.chapters import Chapter, load_chapter
from pipeline.pages.render import render
from pipeline.plans.network import Network
from pipeline.plans.table import as_rows, bytes_text, totals
from pipeline.runs.arguments import stage_paths
from pipeline.runs.command import exit_on_mistake
from pipeline.runs.folder import RESULTS
from pipeline.storage.sealed import check_files
from pipeline.tasks.demands import load_demands
from pipeline.tasks.intervals import FEWEST_UNITS
from pipeline.training.overview import make_overview


@dataclass(frozen=True)
class NetworkTable:
    """A network's totals and rows, as used by the templates."""

    name: str
    weights: int
    multiply_adds: int
    activations: str
    rows: list[tuple[str, str, str, str, str, str]]

    @classmethod
    def of(cls, network: Network) -> NetworkTable:
        """Return the table of a planned network."""
        activations = bytes_text(totals(network)["activation_bytes"])
        return cls(network.name, network.weights, network.multiply_adds, activations, as_rows(network))


def report(artifacts: Path, out: Path) -> None:
    """Write the report of every experiment below `artifacts/evaluate`.

    Raises:
        ConfigError: nothing has been evaluated.
    """
    # Hidden folders are left over from a killed stage; git has the metrics of experiments that were not run here, too.
    names = sorted(file.parent.name for file in (artifacts / "evaluate").glob("[!.]*/scores.json"))
    if not names:
        raise ConfigError(f"{artifacts}/evaluate", "holds no experiment", hint="`dvc repro` makes them")
    chapters: list[tuple[Chapter, NetworkTable, Overview | None]] = []
    for name in names:
        _check_whole(name, artifacts)
        declaration = load(artifacts / "search" / name / "best.yaml")
        demands = load_demands(declaration.task)
        titles = demands.scores(declaration.data)
        minimized = [score for score in titles if demands.direction(f"val/{score}") == "minimize"]
        chapter = load_chapter(
            name,
            artifacts,
            declaration.sections,
            titles,
            minimized=minimized,
            fewest_groups=FEWEST_UNITS,
        )
        trained_on = read_json(artifacts / "train" / name / "result.json")["data"]
        overview = make_overview(declaration, trained_on, root=Path.cwd())
        chapters.append((chapter, NetworkTable.of(plan_network(declaration)), overview))
    out.mkdir(parents=True, exist_ok=True)
    for file in ("report.html", "report.md"):
        write_text(out / file, render(f"{file}.j2", chapters=chapters))


def _check_whole(name: str, artifacts: Path) -> None:
    """Raise if a file that an evaluated experiment needs is missing, or if a result is damaged."""
    for file in (
        f"prepare/{name}/prepared.json",
        f"search/{name}/best.yaml",
        f"train/{name}/result.json",
        f"evaluate/{name}/groups.csv",
        f"evaluate/{name}/baseline.json",
    ):
        place = artifacts / file
        if not place.is_file():
            raise ConfigError(
                str(place),
                f"the file is missing, but {artifacts}/evaluate/{name} exists",
                hint=f"`dvc repro` writes it, or remove {artifacts}/evaluate/{name} if the experiment was given up",
            )
    shown = {
        "prepare": ["prepared.json"],
        "search": None,
        "train": [file for file in RESULTS if file != "weights.pt"],
        "evaluate": None,
    }
    for stage, files in shown.items():
        check_files(artifacts / stage / name, files, hint="delete it, and `dvc repro` brings it back")


def main() -> None:
    """Write the report."""
    artifacts, out = stage_paths("report", "<artifacts>", "<folder to write>")
    report(artifacts, out)


if __name__ == "__main__":
    exit_on_mistake(main)
