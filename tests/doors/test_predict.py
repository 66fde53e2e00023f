"""Predictions by the command: the same as those of evaluation, and mistakes in one sentence."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.declaration.composition import compose
from pipeline.pictures.marked import LINE
from pipeline.runs.context import RunContext
from pipeline.training.run import RunRequest, train
from tests.doors.project import ROOT, TINY, Project
from tests.makers import encode, write_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """Return a project with a run, and with the images of the test split in the folder `digits`."""
    project = Project(tmp_path_factory.mktemp("predict"))
    (project.root / "data").symlink_to(ROOT / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        declaration = compose([*TINY, "trainer.max_epochs=1"])
        run = train(declaration, RunRequest("hydra", "predict", waits=False), RunContext(project.root))
    with zipfile.ZipFile(project.root / "data" / "digits.zip") as archive:
        names = [name for name in archive.namelist() if name.startswith("test/")]
        write_files(project.root / "digits", {name: archive.read(name) for name in names})
    return project, str(run.path.relative_to(project.root))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_table_has_the_predictions_of_evaluation(trained: tuple[Project, str]) -> None:
    project, run = trained
    project.python("pipeline.evaluate", run, "scores")
    said = project.python("pipeline.predict", run, "digits", "predictions")
    cases = {row["file"]: row for row in read(project.root / "scores" / "cases.csv")}
    rows = {row["file"]: row for row in read(project.root / "predictions" / "predictions.csv")}
    assert rows.keys() == cases.keys()
    for file, row in rows.items():
        assert row["class"] == cases[file]["predicted"]
        assert float(row[row["class"]]) == pytest.approx(float(cases[file]["confidence"]), abs=1e-6)
    assert said.startswith(f"predicted by digits_lenet5 ({run})\n380 images in ")
    assert said.endswith("predictions/predictions.csv\n")
    assert "\r" not in said, "a bar is for terminals"
    assert max(map(len, said.splitlines())) <= 80


def test_run_is_named_by_its_experiment_views_and_ensembles_count_and_images_may_be_in_a_zip(
    trained: tuple[Project, str],
) -> None:
    project, run = trained
    write_files(project.root / "one.zip", {"deep/one.png": encode(np.full((9, 9), 7, np.uint8))})
    said = project.python("pipeline.predict", "digits_lenet5", "one.zip", "one", "views=flips")
    assert "warning: views.mirror: test images are mirrored" in said
    said = project.python("pipeline.predict", run, "one.zip", "one", f"ensemble=[{run},digits_lenet5]")
    assert said.startswith(f"predicted by digits_lenet5 ({run})\n"), "each run counts once"
    (row,) = read(project.root / "one" / "predictions.csv")
    assert row["file"] == "deep/one.png"


def test_overlays_show_the_activation_map_of_the_predicted_class(trained: tuple[Project, str]) -> None:
    project, run = trained
    dark = np.full((40, 200), 3, np.uint8)  # squashed to 32 x 32
    dark[:, 150:] = 250
    write_files(project.root / "wide", {"a/wide.png": encode(dark)})
    project.python("pipeline.predict", run, "wide", "plain", "overlays=true")
    project.python("pipeline.predict", run, "wide", "explained", "explain=cam")
    plain, explained = (
        np.asarray(Image.open(project.root / folder / "overlays" / "a" / "wide.png"))
        for folder in ("plain", "explained")
    )
    assert plain.shape == explained.shape == (LINE + 40, 200, 3)
    assert np.array_equal(plain[:LINE], explained[:LINE]), "the caption is that of the class"
    assert len(np.unique(explained[LINE:].reshape(-1, 3), axis=0)) > 20, "colours of a map"
    tables = [read(project.root / folder / "predictions.csv") for folder in ("plain", "explained")]
    assert tables[0] == tables[1]


def test_images_that_cannot_be_predicted_are_counted_and_end_it_only_if_there_is_no_other(
    trained: tuple[Project, str],
) -> None:
    project, run = trained
    folder = write_files(
        project.root / "mixed",
        {"cut.png": b"no image", "good.png": encode(np.zeros((9, 9), np.uint8)), "a.txt": b""},
    )
    said = project.python("pipeline.predict", run, "mixed", "mixed_out")
    assert "not predicted: 1, for the reasons in the column `error`" in said
    assert "passed over: 1, not images by their suffix" in said
    rows = read(project.root / "mixed_out" / "predictions.csv")
    assert rows[0]["error"].startswith("is not an image of a known format")
    assert (rows[0]["class"], rows[1]["error"]) == ("", "")
    (folder / "good.png").unlink()
    said = project.python("pipeline.predict", run, "mixed", "mixed_out", fails=True)
    expected = (
        "error: images: none of 1 could be predicted, got 'mixed'; mixed_out/predictions.csv has the reason"
    )
    assert expected in said
    assert len(read(project.root / "mixed_out" / "predictions.csv")) == 1


def test_mistakes_of_the_command_are_one_sentence(trained: tuple[Project, str]) -> None:
    project, run = trained
    for arguments, sentence in (
        ([run, "digits"], "error: python -m pipeline.predict: expected a run, images and a folder; usage: "),
        (
            [run, "digits", "x", "view=flips"],
            "error: python -m pipeline.predict: unknown option 'view'; did you",
        ),
        ([run, "digits", "x", "overlays=yes"], "error: overlays must be true or false, got 'yes'"),
        ([run, "digits", "x", "explain=lime"], "error: explain must be cam, got 'lime'"),
        ([run, "nowhere", "x"], "error: images: no such file or folder, got 'nowhere'; name a folder, a zip"),
        ([run, "digits", "digits"], "error: "),
    ):
        assert project.python("pipeline.predict", *arguments, fails=True).startswith(sentence)
    assert not (project.root / "x").exists()


def test_run_is_scored_on_other_data_by_the_command(trained: tuple[Project, str]) -> None:
    project, run = trained
    other = ["data=digits", "data.name=other", "data.root=digits", "data.digest=null", "data.groups=null"]
    said = project.python("pipeline.evaluate", "digits_lenet5", "elsewhere", *other)
    assert said.startswith(f"digits_lenet5 ({run}), 380 images of other, split test\nscore ")
    assert " to " in said, "there are intervals"
    assert said.endswith("elsewhere/: scores.json, cases.csv, groups.csv, remarks.txt, pictures/\n")
    assert max(map(len, said.splitlines())) <= 80
    for more, sentence in (
        (["data.root=digits"], "error: data.root: belongs to other data; add data=<name>"),
        (
            ["seed=1"],
            "error: python -m pipeline.evaluate: unknown option 'seed'; allowed: data, explain, split, views",
        ),
        (["data=brain"], "error: data.classes must be ['0', '1', "),
        (["x.yaml", "views=flips"], "error: x.yaml: is a declaration, beside which nothing else is taken"),
    ):
        assert project.python("pipeline.evaluate", run, "no", *more, fails=True).startswith(sentence)
