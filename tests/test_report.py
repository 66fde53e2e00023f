"""The report: everything of two experiments, in one file that needs no other."""

import csv
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline import report as stage
from pipeline.compose import compose
from pipeline.declaration import planned
from pipeline.errors import ConfigError
from pipeline.report import report

NASTY = "g<r>&e|y"
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "digits_lenet5": {
        "scores": {
            "accuracy": {"value": 0.95014, "low": 0.92632, "high": 0.97111},
            "auroc": {"value": float("nan"), "low": float("nan"), "high": float("nan")},
            "calibration_error": {"value": 0.03283, "low": 0.0204, "high": 0.0562},
        },
        "pictures": [
            "evaluate/confusion",
            "evaluate/mistakes",
            "train/learning_curves",
            "train/training_images",
        ],
        "dirty": "true",
    },
    "brain_unet": {
        "scores": {
            "dice": {"value": 0.8942, "low": 0.8797, "high": 0.9075},
            f"dice_{NASTY}": {"value": 0.9227, "low": 0.919, "high": 0.9261},
        },
        "pictures": ["evaluate/best", "evaluate/worst", "train/learning_curves", "evaluate/not_known_yet"],
        "dirty": "false",
    },
}


def run_of(name: str) -> dict[str, Any]:
    return {
        "state": "finished",
        "fingerprint": f"fingerprint-{name}",
        "commit": f"commit-{name}",
        "dirty": EXPERIMENTS[name]["dirty"],
        "data": f"sha256:data-{name}",
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "hardware": {"processor": "Some <Processor>", "cores": "2"},
        "mlflow_run_id": f"mlflow-{name}",
    }


def write_experiment(artifacts: Path, name: str) -> None:
    about = EXPERIMENTS[name]
    config = compose([f"experiment={name}"])
    config["data"]["licence"] = "to | be <b>free</b>"
    if name == "brain_unet":
        config["data"]["classes"] = ["other", NASTY, "white"]
    trained, evaluated = artifacts / "train" / name, artifacts / "evaluate" / name
    for folder in (artifacts / "compose", trained / "pictures", evaluated / "pictures"):
        folder.mkdir(parents=True, exist_ok=True)
    (artifacts / "compose" / f"{name}.yaml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    (trained / "run.json").write_text(json.dumps(run_of(name)), "utf-8")
    (trained / "metrics.json").write_text(json.dumps({"score": 0.9, "epoch": 6.0}), "utf-8")
    with (trained / "history.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["epoch", "train/loss"])
        rows.writerows([epoch, 1 / (epoch + 1)] for epoch in range(9))
    (evaluated / "metrics.json").write_text(json.dumps(about["scores"]), "utf-8")
    for index, place in enumerate(about["pictures"]):
        room, picture = place.split("/")
        pixels = np.full((len(name), 4 + index), 50 * index, np.uint8)
        Image.fromarray(pixels).save(artifacts / room / name / "pictures" / f"{picture}.png")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    artifacts = tmp_path_factory.mktemp("project") / "artifacts"
    for name in EXPERIMENTS:
        write_experiment(artifacts, name)
    report(artifacts, artifacts / "report")
    return artifacts


class Page(HTMLParser):
    """What a reader sees, what the page refers to, and whether its tags are nested rightly."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.references: list[tuple[str, str, str]] = []
        self.names: set[str] = set()
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"
        self.text = " ".join(" ".join(self.seen).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br", "hr", "link"):
            self._open.append(tag)
        for key, value in attrs:
            if key in ("src", "href", "srcset", "data", "action", "poster"):
                self.references.append((tag, key, value or ""))
            if key == "id":
                self.names.add(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.seen.append(data)


@pytest.fixture(scope="module")
def html(artifacts: Path) -> str:
    return (artifacts / "report" / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


@pytest.fixture(scope="module")
def markdown(artifacts: Path) -> str:
    return (artifacts / "report" / "report.md").read_text(encoding="utf-8")


def test_page_needs_no_other_file(html: str, page: Page) -> None:
    for tag, key, value in page.references:
        if tag == "a":
            assert value.startswith("#"), value
            assert value[1:] in page.names, f"{value} leads nowhere"
        else:
            assert (tag, key) == ("img", "src")
            assert value.startswith("data:image/png;base64,")
    assert not re.search(r"url\(|@import|<script|<link", html)


def test_every_picture_is_on_the_page_in_order(artifacts: Path, page: Page, markdown: str) -> None:
    images = [value for tag, _, value in page.references if tag == "img"]
    assert len(images) == len(set(images)) == sum(len(about["pictures"]) for about in EXPERIMENTS.values())
    paths = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", markdown)
    assert len(paths) == len(images)
    for path in paths:
        assert (artifacts / "report" / path).is_file(), path
    assert [Path(path).stem for path in paths] == [
        *("best", "worst", "not_known_yet", "learning_curves"),
        *("confusion", "mistakes", "training_images", "learning_curves"),
    ]
    for title in ("Confusion matrix of the test split", "not known yet"):
        assert title in page.text


def said_of(name: str) -> list[str]:
    """All that must be told of an experiment, in whichever format."""
    config = compose([f"experiment={name}"])
    run = run_of(name)
    numbers = [
        f"{score[part]:.4f}"
        for score in EXPERIMENTS[name]["scores"].values()
        for part in ("value", "low", "high")
        if score["value"] == score["value"]
    ]
    weights = f"{planned(config).weights:,}"
    learning_rate = f"lr={config['optimizer']['lr']}"
    origin = [run["mlflow_run_id"], run["fingerprint"], run["commit"], run["data"], "torch 2.13.0"]
    return [
        name,
        config["model"]["name"],
        *numbers,
        weights,
        learning_rate,
        *origin,
        "weights of epoch 7 of 9",
    ]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_both_formats_tell_scores_origin_and_weights(name: str, page: Page, markdown: str) -> None:
    for fact in said_of(name):
        assert fact in page.text
        assert fact in markdown


def test_scores_are_named_as_the_field_does(page: Page) -> None:
    assert "AUROC not defined" in page.text
    assert "calibration error (lower is better) 0.0328" in page.text
    assert f"Dice, {NASTY} 0.9227 0.9190 to 0.9261" in page.text
    assert "test accuracy 0.950 (0.926 to 0.971)" in page.text


def test_uncommitted_changes_are_owned_up_to(page: Page) -> None:
    assert "commit-digits_lenet5 with uncommitted changes" in page.text
    assert "commit-brain_unet with uncommitted changes" not in page.text


def test_names_are_escaped(html: str, page: Page) -> None:
    assert NASTY in page.text
    assert "g&lt;r&gt;&amp;e|y" in html
    assert "<b>free</b>" not in html
    assert "Some &lt;Processor&gt;" in html


def test_every_layer_is_in_the_table(page: Page, markdown: str) -> None:
    for name in EXPERIMENTS:
        network = planned(compose([f"experiment={name}"]))
        for leaf in network.leaves():
            assert f"{leaf.where} {leaf.name} " in page.text
            assert f"| `{leaf.where}` | {leaf.name} |" in markdown
        assert f"{network.multiply_adds:,}" in page.text


def tables_in(markdown: str) -> list[list[str]]:
    """Runs of lines that start with a bar."""
    tables: list[list[str]] = [[]]
    for line in markdown.splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    return [table for table in tables if table]


def test_markdown_tables_are_well_formed(markdown: str) -> None:
    tables = tables_in(markdown)
    assert len(tables) == 1 + 4 * len(EXPERIMENTS)
    for table in tables:
        assert len(table) >= 3
        assert set(table[1]) == {"|", "-"}
        cells = {len(re.findall(r"(?<!\\)\|", line)) - 1 for line in table}
        assert len(cells) == 1, table
        assert all(line.endswith("|") for line in table)


def test_markdown_escapes_what_would_be_html(markdown: str) -> None:
    assert r"Dice, g&lt;r>&amp;e\|y" in markdown
    assert "<b>" not in markdown


def test_same_artifacts_give_the_same_report(artifacts: Path, html: str, tmp_path: Path) -> None:
    report(artifacts, tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html


@pytest.mark.parametrize("exists", [False, True])
def test_nothing_evaluated_is_told_with_the_command(exists: bool, tmp_path: Path) -> None:
    if exists:
        (tmp_path / "evaluate" / ".digits.12.unfinished").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"/evaluate holds no experiment; `dvc repro` makes them"):
        report(tmp_path, tmp_path / "report")


@pytest.mark.parametrize("missing", ["compose/digits_lenet5.yaml", "train/digits_lenet5/run.json"])
def test_evaluation_without_its_training_is_refused(missing: str, tmp_path: Path) -> None:
    write_experiment(tmp_path, "digits_lenet5")
    (tmp_path / missing).unlink()
    wanted = rf"evaluate/digits_lenet5 is there, .*{missing} is not; `dvc repro` makes it, or remove"
    with pytest.raises(ConfigError, match=wanted):
        report(tmp_path, tmp_path / "report")


def test_command_takes_two_paths(artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["report", str(artifacts), str(tmp_path / "new" / "report")])
    stage.main()
    assert {path.name for path in (tmp_path / "new" / "report").iterdir()} == {"report.html", "report.md"}


IMPORTED = """
import json, sys
from pathlib import Path
from pipeline.report import report
report(Path(sys.argv[1]), Path(sys.argv[2]))
heavy = ("torch", "mlflow", "pytorch_lightning", "torchmetrics", "albumentations", "matplotlib")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def test_report_imports_nothing_heavy(artifacts: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPORTED, str(artifacts), str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == []
