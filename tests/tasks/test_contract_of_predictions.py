"""The contract of predictions: what `predict` writes for every task, and that it says what `evaluate` says."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data.prepared import Prepared
from pipeline.runs.context import RunContext
from pipeline.tasks.demands import load_demands
from pipeline.tasks.predictions import ERROR, FILE, Predicted, load_present
from pipeline.training.assemble import build_task
from pipeline.training.ensemble import Ensemble
from pipeline.training.inputs import prepare
from pipeline.training.prediction import predict
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Predictor, Trained, open_trained
from tests.makers import encode, write_files
from tests.refusals import refused
from tests.tasks.rows import ROWS
from tests.tasks.test_contract import EACH, balanced, declare


def read(out: Path) -> list[dict[str, str]]:
    with (out / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def trained(name: str, root: Path, **trainer: int) -> Trained:
    declaration = declare(name, root, max_epochs=1)
    run = train(declaration, RunRequest("test", "test", waits=False), RunContext(root))
    return open_trained(run, root=root)


def write_test_images(run: Trained, root: Path, folder: Path) -> Prepared:
    """Write the images of the test split as files of their own, without their targets."""
    prepared = Prepared.open(prepare(run.declaration, root=root), run.declaration.data)
    pairs = zip(prepared.files("test"), prepared.images("test"), strict=True)
    write_files(folder, {name: encode(image[..., 0]) for name, image in pairs})
    return prepared


@EACH
def test_predictions_have_the_same_columns_for_every_image_of_any_size(name: str, tmp_path: Path) -> None:
    declaration = declare(name, tmp_path)
    task, targets = build_task(declaration), balanced(name)
    present = load_present(declaration.task["_target_"])
    for outputs in (ROWS[name].perfect(targets), ROWS[name].constant(targets)):
        for decoded in task.decode(outputs).numpy():
            shown = [present(Predicted(decoded, sides), declaration.data) for sides in ((4, 6), (1, 50))]
            assert [*shown[0].arrays, *shown[0].cells] == [*shown[1].arrays, *shown[1].cells]
            assert not {FILE, ERROR} & {*shown[0].arrays, *shown[0].cells}
            assert all(0 <= share <= 1 for share in shown[0].shares.values())
            has_several = load_demands(declaration.task).threshold is not None
            assert has_several or sum(shown[0].shares.values()) <= 1 + 1e-9
            assert shown[1].mask is None or shown[1].mask.shape == (1, 50)


@EACH
@pytest.mark.slow
def test_images_are_predicted_as_evaluation_predicts_them(name: str, tmp_path: Path) -> None:
    run = trained(name, tmp_path)
    prepared = write_test_images(run, tmp_path, tmp_path / "images")
    (tmp_path / "out").mkdir()
    summary = predict([run], tmp_path / "images", tmp_path / "out", overlays=True)
    rows = read(tmp_path / "out")
    assert [row["file"] for row in rows] == sorted(prepared.files("test"))
    assert summary.num_predicted == len(rows)

    predictor, present = Predictor(run), load_present(run.declaration.task["_target_"])
    images = torch.from_numpy(np.array(prepared.images("test"))).permute(0, 3, 1, 2)
    decoded = predictor.task.decode(predictor.outputs(images)).numpy()
    wanted = dict(zip(prepared.files("test"), decoded, strict=True))
    for row in rows:
        assert row["error"] == ""
        shown = present(
            Predicted(wanted[row["file"]], prepared.images("test").shape[1:3]), run.declaration.data
        )
        for column, text in shown.cells.items():
            if text.replace(".", "").isdigit():
                assert float(row[column]) == pytest.approx(float(text), abs=1e-6)
            else:
                assert row[column] == text
        for column, array in shown.arrays.items():
            path = tmp_path / "out" / row[column]
            found = np.load(path) if path.suffix == ".npy" else np.asarray(Image.open(path))
            assert np.array_equal(found, array)
        assert list((tmp_path / "out" / "overlays").rglob(f"{Path(row['file']).stem}.png"))


@EACH
@pytest.mark.slow
def test_a_run_averaged_with_itself_predicts_the_same_and_foreign_runs_are_refused(
    name: str, tmp_path: Path
) -> None:
    run = trained(name, tmp_path)
    channels, rows, columns = run.declaration.data.shape
    images = list(np.random.default_rng(0).integers(0, 256, (5, rows, columns, channels), dtype=np.uint8))
    alone = Ensemble([run]).predict(images)
    np.testing.assert_allclose(Ensemble([run, run]).predict(images), alone, atol=1e-6)
    data = run.declaration.sections["data"]
    for what, other in (
        ("classes", {"classes": [*data["classes"][:-1], "other"]}),
        ("shape", {"shape": [1, 9, 9]}),
    ):
        with refused("ensemble", hint="average runs of one task on images of one shape") as caught:
            Ensemble([run, Trained(run.folder, run.declaration.replace(data={**data, **other}))])
        assert what in str(caught.value)


@EACH
@pytest.mark.slow
def test_activation_maps_are_of_one_classifier(name: str, tmp_path: Path) -> None:
    run = trained(name, tmp_path)
    write_files(tmp_path / "images", {"a.png": encode(np.full((12, 10), 9, np.uint8))})
    (tmp_path / "out").mkdir()
    with refused("explain", got="cam", hint="leave out ensemble, or explain"):
        predict([run, run], tmp_path / "images", tmp_path / "out", overlays=False, explains=True)
    is_explained = Ensemble([run]).example.shape == (len(run.declaration.data.classes),)
    if is_explained:
        predict([run], tmp_path / "images", tmp_path / "out", overlays=False, explains=True)
        assert (tmp_path / "out" / "overlays" / "a.png").is_file()
        return
    with refused("explain", got="cam", hint="leave it out"):
        predict([run], tmp_path / "images", tmp_path / "out", overlays=False, explains=True)
