"""Recognition by a gallery: whose an image is, how far, and who is unknown."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.prepared import Prepared
from pipeline.runs.context import RunContext
from pipeline.tasks.predictions import Enrolled, Predicted
from pipeline.tasks.verification.predictions import enrol
from pipeline.tasks.verification.task import Verification
from pipeline.training.inputs import prepare
from pipeline.training.prediction import predict
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Predictor, Trained, open_trained
from tests.makers import encode, write_files
from tests.refusals import refused
from tests.tasks.test_contract import declare


def make_run(name: str, root: Path) -> Trained:
    declaration = declare(name, root, max_epochs=1)
    return open_trained(
        train(declaration, RunRequest("test", "test", waits=False), RunContext(root)), root=root
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trained, Path]:
    root = tmp_path_factory.mktemp("verification")
    return make_run("verification", root), root


@pytest.mark.parametrize("loss", ["triplet", "pair"])
def test_nearest_image_tells_the_identity_unless_it_is_too_far(loss: str) -> None:
    weights = [1.0, 3.0, 0.5] if loss == "pair" else None
    task = Verification(
        loss=loss, mining="all", margin=0.3, dimensions=2, threshold=0.5, pair_weights=weights
    )
    gallery = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    present = enrol(task, gallery, [Enrolled(f"{name}/1.png", name) for name in ("ann", "bob", "cy")])
    query = np.array([0.96, 0.28])
    distance = 0.04 + 3 * 0.28 if loss == "pair" else np.hypot(0.04, 0.28)
    shown = present(Predicted(query, (8, 8)), None)  # type: ignore[arg-type]
    assert shown.cells == {
        "identity": "unknown" if loss == "pair" else "ann",
        "nearest": "ann",
        "distance": f"{distance:.6f}",
        "threshold": "0.500000",
        "image": "ann/1.png",
    }


@pytest.mark.slow
def test_images_of_a_gallery_of_any_size_are_recognised(run: tuple[Trained, Path], tmp_path: Path) -> None:
    trained, root = run
    prepared = Prepared.open(prepare(trained.declaration, root=root), trained.declaration.data)
    names, images = prepared.groups("test"), np.array(prepared.images("test"))
    assert names is not None
    gallery = {f"{name}/{n}.png": encode(images[n, ..., 0]) for n, name in enumerate(names) if n % 2 == 0}
    write_files(tmp_path / "gallery", {**gallery, "notes.txt": b"", "broken/1.png": b"no image"})
    queries = {f"{n}.png": encode(image[..., 0]) for n, image in enumerate(images)}
    queries["large.png"] = encode(images[0, ..., 0].repeat(3, axis=0))
    write_files(tmp_path / "queries", queries)
    (tmp_path / "out").mkdir()
    summary = predict(
        [trained], tmp_path / "queries", tmp_path / "out", overlays=True, gallery=tmp_path / "gallery"
    )
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    task, predictor = trained.build_task(), Predictor(trained)
    assert isinstance(task, Verification)
    decoded = task.decode(predictor.outputs(torch.from_numpy(images).permute(0, 3, 1, 2))).numpy()
    enrolled = list(range(0, len(images), 2))
    assert rows[-1]["error"] == ""  # of another size
    for n, row in enumerate(rows[:-1]):
        distances = np.linalg.norm(decoded[enrolled].astype(float) - decoded[n], axis=1)
        assert float(row["distance"]) == pytest.approx(distances.min(), abs=1e-5)
        is_known = float(row["distance"]) <= float(row["threshold"])
        assert row["identity"] == (row["nearest"] if is_known else "unknown")
        if n % 2 == 0:
            assert (row["nearest"], row["image"]) == (names[n], f"{names[n]}/{n}.png")
    assert summary.num_predicted == len(images) + 1
    assert sum(summary.shares.values()) == pytest.approx(1)


@pytest.mark.slow
def test_galleries_that_tell_no_identities_are_refused(run: tuple[Trained, Path], tmp_path: Path) -> None:
    image = encode(np.zeros((8, 8), np.uint8))
    write_files(tmp_path / "queries", {"1.png": image})
    (tmp_path / "out").mkdir()
    write_files(tmp_path / "flat", {"1.png": image})
    way = "give it a folder or zip file with one folder per identity, <identity>/<image>"
    text = f"gallery: {tmp_path / 'flat'} has an image outside of any folder, got '1.png'; {way}"
    with refused("gallery", got="1.png", hint=way, text=text):
        predict([run[0]], tmp_path / "queries", tmp_path / "out", overlays=False, gallery=tmp_path / "flat")
    write_files(tmp_path / "broken", {"ann/1.png": b"no image"})
    with refused("gallery", got=str(tmp_path / "broken"), hint=way):
        predict([run[0]], tmp_path / "queries", tmp_path / "out", overlays=False, gallery=tmp_path / "broken")


@pytest.mark.slow
def test_gallery_is_refused_by_a_task_that_compares_no_images(tmp_path: Path) -> None:
    trained = make_run("classification", tmp_path)
    write_files(tmp_path / "gallery", {"ann/1.png": encode(np.zeros((8, 8), np.uint8))})
    (tmp_path / "out").mkdir()
    gallery = tmp_path / "gallery"
    text = f"gallery: classification compares no images, got '{gallery}'; leave it out"
    with refused("gallery", got=str(gallery), hint="leave it out", text=text):
        predict([trained], gallery, tmp_path / "out", overlays=False, gallery=gallery)


@pytest.mark.slow
def test_run_keeps_its_threshold_and_says_what_it_was_chosen_by(run: tuple[Trained, Path]) -> None:
    result = run[0].folder.result()
    assert result["task"]["threshold"] > 0
    assert "fewer than 1,000" in result["remarks"][-1]
    assert (
        (run[0].folder.path / "history.csv")
        .read_text()
        .splitlines()[0]
        .endswith("train/genuine_distance,train/impostor_distance,train/active")
    )


@pytest.mark.slow
def test_threshold_is_chosen_by_the_views_of_test_images(tmp_path: Path) -> None:
    declaration = declare("verification", tmp_path, max_epochs=1).replace(
        views={"crops": "centre", "mirror": True}
    )
    folder = train(declaration, RunRequest("test", "test", waits=False), RunContext(tmp_path))
    trained = open_trained(folder, root=tmp_path)
    prepared = Prepared.open(prepare(declaration, root=tmp_path), declaration.data)
    predictor = Predictor(trained)
    outputs = predictor.outputs(torch.from_numpy(np.array(prepared.images("val"))).permute(0, 3, 1, 2))
    targets = torch.from_numpy(np.array(prepared.targets("val")))
    task = Verification(
        loss="triplet", mining="all", margin=0.3, dimensions=64, threshold=None, pair_weights=None
    )
    settled = task.settled(task.evidence(outputs, {"target": targets}).numpy())
    assert trained.folder.result()["task"]["threshold"] == pytest.approx(
        settled.settings["threshold"], abs=1e-5
    )
