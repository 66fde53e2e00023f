"""The report: everything of three experiments, in one file that needs no other."""

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import report as stage
from pipeline.declaration.composition import compose
from pipeline.declaration.network import plan_network
from pipeline.inspection.overview import Block
from pipeline.inspection.shown import Overview
from pipeline.report import report
from tests.refusals import refused
from tests.reports import EXPERIMENTS, NASTY, Page, result_of, write_experiment


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    artifacts = tmp_path_factory.mktemp("project") / "artifacts"
    for name in EXPERIMENTS:
        write_experiment(artifacts, name)
    report(artifacts, artifacts / "report")
    return artifacts


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
        *("best_so_far", "slices", "parallel", "confusion"),
    ]
    for title in ("Confusion matrix of the test split", "not known yet"):
        assert title in page.text


def said_of(name: str) -> list[str]:
    """All that must be told of an experiment, in whichever format."""
    declaration, result = compose([f"experiment={name}"]), result_of(name)
    numbers = [
        f"{score[part]:.4f}"
        for score in EXPERIMENTS[name]["scores"].values()
        for part in ("value", "low", "high")
        if not math.isnan(score[part])
    ]
    weights = f"{plan_network(declaration).weights:,}"
    learning_rate = f"lr={declaration.optimizer['lr']}"
    origin = [result["fingerprint"], result["data"], "numpy 2.4.0, torch 2.13.0"]
    left_out = EXPERIMENTS[name].get("left_out", [])
    model = declaration.model["name"]
    return [name, model, *numbers, weights, learning_rate, *origin, *left_out, "weights of epoch 7 of 9"]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_both_formats_tell_scores_origin_and_weights(name: str, page: Page, markdown: str) -> None:
    for fact in said_of(name):
        assert fact in page.text
        assert fact in markdown


def test_scores_are_named_as_the_field_does(page: Page) -> None:
    assert "AUROC not defined" in page.text
    assert "calibration error (lower is better) 0.0328" in page.text
    assert "Dice, grey matter 0.9227 0.9190 to 0.9261" in page.text
    assert "test accuracy 0.950 (0.926 to 0.971; majority class 0.102)" in page.text


def test_groups_that_are_too_few_for_an_interval_show_their_scores(page: Page, markdown: str) -> None:
    assert "test accuracy 0.960 (0.942 to 0.982 in 2 groups)" in page.text
    assert f"score form04 (130) {NASTY} (120) accuracy 0.9423 0.9824 AUROC not defined 0.9911" in page.text
    assert "accuracy (selects the epoch) 0.9600 none AUROC 0.9900 none" in page.text
    assert r"| score | form04 (130) | g&lt;r>&amp;e\|y (120) |" in markdown
    assert "| AUROC | not defined | 0.9911 |" in markdown
    assert "| AUROC | not defined | none |" in markdown
    assert page.text.count("2 groups are too few") == markdown.count("2 groups are too few") == 1


def test_score_of_a_class_is_better_when_higher_whatever_the_class_is_called(
    page: Page, markdown: str
) -> None:
    assert "Dice, error 0.8104 0.8001 to 0.8203" in page.text
    assert "| Dice, error | 0.8104 | 0.8001 to 0.8203 |" in markdown
    assert "| calibration error (lower is better) | 0.0328 |" in markdown


def test_report_says_where_the_rest_of_the_origin_is_kept(page: Page, markdown: str) -> None:
    for name in EXPERIMENTS:
        place = f"runs/fingerprint-{name}/run.json, and the MLflow run tagged fingerprint-{name}"
        assert f"commit, hardware, times {place}" in page.text
        assert f"| commit, hardware, times | {place} |" in markdown


def test_names_are_escaped(html: str, page: Page) -> None:
    assert NASTY in page.text
    assert "g&lt;r&gt;&amp;e|y" in html
    assert "<b>free</b>" not in html
    assert "to | be &lt;b&gt;free&lt;/b&gt;" in html


def test_every_layer_is_in_the_table(page: Page, markdown: str) -> None:
    for name in EXPERIMENTS:
        network = plan_network(compose([f"experiment={name}"]))
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
    num_searches = sum("trials" in about for about in EXPERIMENTS.values())
    assert len(tables) == 1 + 5 * len(EXPERIMENTS) + num_searches + 1  # of the groups of one
    for table in tables:
        assert len(table) >= 3
        assert set(table[1]) == {"|", "-"}
        cells = {len(re.findall(r"(?<!\\)\|", line)) - 1 for line in table}
        assert len(cells) == 1, table
        assert all(line.endswith("|") for line in table)


def test_markdown_escapes_what_would_be_html(markdown: str) -> None:
    assert r"optimizer.lr: g&lt;r>&amp;e\|y lies" in markdown
    assert "<b>" not in markdown


def test_same_artifacts_give_the_same_report(artifacts: Path, html: str, tmp_path: Path) -> None:
    report(artifacts, tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == html


def test_report_does_not_tell_equal_runs_apart(artifacts: Path, html: str, tmp_path: Path) -> None:
    shutil.copytree(artifacts, tmp_path / "artifacts")
    for name in EXPERIMENTS:
        trained = tmp_path / "artifacts" / "train" / name
        state = {**result_of(name), "commit": "another", "dirty": "true", "mlflow_run_id": "1f0"}
        (trained / "run.json").write_text(json.dumps(state), "utf-8")
        (trained / "timing.csv").write_text("epoch,seconds\n0.0,1.5\n", "utf-8")
    report(tmp_path / "artifacts", tmp_path / "report")
    assert (tmp_path / "report" / "report.html").read_text(encoding="utf-8") == html


def test_both_formats_tell_what_the_search_found(page: Page, markdown: str) -> None:
    # By the mean minus its error; what failed or was pruned is counted, not ranked.
    best = ["4 0.88 0 0.5 0.03 0.0001 128", "1 0.875 0 0.4 0.02 1e-05 64", "0 0.9 0.05 0.3 0.01 0.001 32"]
    best += ["6 0.25 0 0.8 0.0002 0.0001 128", "5 0.2 0 0.9 0.0001 0.0001 128"]
    header = "trial value error loss optimizer.lr optimizer.weight_decay trainer.batch_size"
    assert " ".join([header, *best]) in page.text
    [table] = [table for table in tables_in(markdown) if table[0].startswith("| trial |")]
    rows = [" ".join(cell.strip() for cell in row.strip("| ").split("|")) for row in table]
    assert rows[:1] + rows[2:] == [header, *best]
    summary = "8 trials by random, judged by val/accuracy on the validation split, 1 pruned, 1 failed"
    escaped = r"optimizer.lr: g&lt;r>&amp;e\|y lies at the edge"
    for text, remark in ((page.text, f"optimizer.lr: {NASTY} lies at the edge"), (markdown, escaped)):
        assert summary in text
        assert "../search/digits_search/search.html" in text
        assert remark in text
        assert "k: a second remark" in text


def test_experiment_without_a_search_has_no_chapter_on_one(html: str, markdown: str) -> None:
    assert html.count("<h3>Search</h3>") == 1
    assert markdown.count("search.html") == 1
    section = html[html.index('<section id="digits_search">') :]
    assert "<h3>Search</h3>" in section


@pytest.mark.parametrize("exists", [False, True])
def test_nothing_evaluated_is_told_with_the_command(exists: bool, tmp_path: Path) -> None:
    if exists:
        (tmp_path / "evaluate" / ".digits.12.unfinished").mkdir(parents=True)
    path = f"{tmp_path}/evaluate"
    text = f"{path}: holds no experiment; `dvc repro` makes them"
    with refused(path, hint="`dvc repro` makes them", text="" if exists else text):
        report(tmp_path, tmp_path / "report")


@pytest.mark.parametrize(
    "missing",
    [
        *("prepare/X/prepared.json", "search/X/best.yaml", "train/X/result.json"),
        *("evaluate/X/groups.csv", "evaluate/X/baseline.json", "evaluate/X/remarks.txt"),
    ],
)
def test_evaluation_without_its_training_is_refused(missing: str, tmp_path: Path) -> None:
    write_experiment(tmp_path, "digits_lenet5")
    (place := tmp_path / missing.replace("X", "digits_lenet5")).unlink()
    evaluated = tmp_path / "evaluate" / "digits_lenet5"
    text = (
        f"{place}: the file is missing, but {evaluated} exists; `dvc repro` writes it, or remove "
        f"{evaluated} if the experiment was given up"
    )
    with refused(str(place), hint="`dvc repro`", text=text):
        report(tmp_path, tmp_path / "report")


def test_metrics_that_git_has_of_an_experiment_that_was_not_run_here_make_no_chapter(tmp_path: Path) -> None:
    write_experiment(tmp_path, "digits_lenet5")
    given_up = tmp_path / "evaluate" / "given_up"
    given_up.mkdir()
    (given_up / "metrics.json").write_text('{"score": 0.5}')
    report(tmp_path, tmp_path / "report")
    assert "given_up" not in (tmp_path / "report" / "report.md").read_text()


def test_command_takes_two_paths(artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["report", str(artifacts), str(tmp_path / "new" / "report")])
    stage.main()
    assert {path.name for path in (tmp_path / "new" / "report").iterdir()} == {"report.html", "report.md"}


IMPORTED = """
import json, sys
from pathlib import Path
from pipeline.inspection.overview import Block
from pipeline.inspection.shown import Overview
from pipeline.report import report
report(Path(sys.argv[1]), Path(sys.argv[2]))
heavy = ("torch", "mlflow", "pytorch_lightning", "torchmetrics", "albumentations", "matplotlib")
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def test_report_imports_nothing_heavy(artifacts: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", IMPORTED, str(artifacts), str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) == []


def test_data_of_each_experiment_are_shown_where_they_are_still_here(
    artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Block("Images per class and split", ("class", "train"), [("cow", "7")])
    block = Block("Duplicates", ("class", "groups"), [("<cat>", "7")], ["Look at them."])
    monkeypatch.setattr(stage, "make_overview", lambda *_, root: Overview([counts, block], "UE5H"))
    report(artifacts, tmp_path)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert page.text.count("Duplicates class groups <cat> 7 Look at them.") == len(EXPERIMENTS)
    assert "cow" not in page.text, "the table of the report has the images of each class already"
    assert ("img", "src", "data:image/png;base64,UE5H") in page.references
