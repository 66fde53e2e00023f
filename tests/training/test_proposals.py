"""A trained classifier on proposed regions: what it is shown, its detections, and the scores of both."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.declaration.composition import compose, compose_sections
from pipeline.runs.context import RunContext
from pipeline.training import regions
from pipeline.training.evaluation_requests import score
from pipeline.training.proposals import ProposalFinder, cut
from pipeline.training.regions import BoxProposer, ProposalSettings, SegmentProposer
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Predictor, Trained, open_trained
from tests.refusals import refused
from tests.tasks.kinds import CLASSES
from tests.tasks.test_contract import declare
from tests.training import squares
from tests.training.squares import write_squares

pytestmark = pytest.mark.slow


def settings(**changes: Any) -> ProposalSettings:
    return ProposalSettings(**{**compose_sections(["views=proposals"])["views"], **changes})


def run_of(task: str, root: Path) -> Trained:
    run = train(declare(task, root), RunRequest("test", "test", waits=False), RunContext(root))
    return open_trained(run, root=root)


def ask(run: Trained, data: dict[str, Any], *overrides: str, out: Path) -> Any:
    """Score proposals of a run on a section `data`, as a command asks for it."""
    return squares.ask(run, data, "views=proposals", *overrides, out=out)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return run_of("classification", tmp_path_factory.mktemp("classifier"))


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return run_of("detection", tmp_path_factory.mktemp("detector"))


def brightness(self: Predictor, images: Tensor) -> Tensor:
    """Return logits that are sure of class 1 for a bright image, and of class 2 for any other."""
    is_bright = images.float().mean(dim=(1, 2, 3)) > 200
    return 20 * torch.nn.functional.one_hot(2 - is_bright.long(), 3).float()


def test_regions_that_are_objects_make_a_perfect_detector(
    classifier: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = {**classifier.declaration.sections["data"], **write_squares(tmp_path / "squares.zip")}
    monkeypatch.setattr(Predictor, "outputs", brightness)
    scores, titles = ask(
        classifier, data, f"views.background='{CLASSES[2]}'", "views.smoothing=0", out=tmp_path / "out"
    )
    values = {name: each["value"] for name, each in scores.items()}
    assert titles.keys() == values.keys() >= {"recall_1", "recall_10", "recall_100", "recall_300"}
    whole = ("ap50", "ap", "recall", "recall_100", "average_recall")
    assert {name: values[name] for name in whole} == dict.fromkeys(whole, 1)
    assert values["recall_1"] <= 0.5, "images have two objects"
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 11 + 1
    (second,) = [row for row in rows if row["file"] == "1.png" and row["x_min"] == "0.00"]
    assert [second[name] for name in ("y_min", "x_max", "y_max")] == ["4.00", "16.00", "20.00"]
    proposing, classifying, windows = (tmp_path / "out" / "remarks.txt").read_text().splitlines()
    assert proposing.startswith("segments and their groups: ")
    assert "one by one: " in classifying
    assert windows.startswith("every window at one scale, in one pass: ")
    assert (tmp_path / "out" / "pictures" / "proposals.png").is_file()


def test_boxes_of_a_run_are_regions_by_falling_confidence(
    classifier: Trained, detector: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = {**classifier.declaration.sections["data"], **write_squares(tmp_path / "squares.zip")}
    found = torch.zeros(1, 3, 6)
    found[0, 0] = torch.tensor([0.0, 0, 3, 3, 2, 0.3])
    found[0, 1] = torch.tensor([4.0, 4, 8, 8, 0, 0.6])
    found[0, 2, 4] = -1
    proposer = BoxProposer(detector, detector.declaration.data)
    monkeypatch.setattr(
        proposer._predictor.task, "decode", lambda outputs: found.expand(len(outputs), -1, -1)
    )
    images = np.full((2, 8, 8, 1), 255, np.uint8)
    first, second = proposer.propose(images)
    assert first == pytest.approx(np.array([[4, 4, 8, 8, 0.6], [0, 0, 3, 3, 0.3]]))
    assert (first == second).all()
    monkeypatch.setattr(Predictor, "outputs", brightness)
    finder = ProposalFinder(classifier, detector.declaration.data, settings(most=1), proposer)
    (one, _) = finder.detect(images)
    (kept,) = one[one[:, 4] >= 0]
    assert kept == pytest.approx([4, 4, 8, 8, 1, 0.6], abs=1e-6), (
        "the confidence of the region times that of the class"
    )
    monkeypatch.undo()
    scores, _ = ask(
        classifier,
        {**data, "shape": [1, 8, 8]},
        f"views.proposals={detector.folder.path}",
        out=tmp_path / "out",
    )
    assert 0 <= scores["average_recall"]["value"] <= 1
    said = (tmp_path / "out" / "remarks.txt").read_text()
    assert said.startswith("boxes of tiny_detection: ")
    assert "windows are not compared" not in said


def test_an_image_without_regions_has_no_detection(classifier: Trained) -> None:
    class Nothing:
        about, multiply_adds = "nothing", None

        def propose(self, images: Any) -> list[Any]:
            return [np.empty((0, 5))] * len(images)

    finder = ProposalFinder(classifier, classifier.declaration.data, settings(), Nothing())
    assert (finder.detect(np.zeros((2, 8, 8, 1), np.uint8))[..., 4] == -1).all()
    objects = np.array([[[0.0, 0, 4, 4, 1, 0]], [[0, 0, 0, 0, -1, 0]]])
    names = [*(f"recall_{count}" for count in (1, 10, 100, 300)), "average_recall"]
    assert finder.scores(finder.evidence(objects)) == dict.fromkeys(names, 0)


def test_a_region_is_shown_in_its_aspect_ratio_or_stretched() -> None:
    image = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20, 1)
    regions = np.array([[2.0, 3, 10, 11], [4, 4, 8, 12], [0, 0, 20, 4]])
    square, tall, wide = cut(image, regions, (8, 8), settings())
    assert (square == image[3:11, 2:10]).all()
    assert (tall == image[4:12, 2:10]).all(), "what lies beside it is shown"
    assert wide.shape == (8, 8, 1)
    _, warped, _ = cut(image, regions, (8, 4), settings(warp=True))
    assert (warped == image[4:12, 4:8]).all()
    larger = cut(image, np.array([[4.0, 4, 8, 8]]), (8, 8), settings(context=0.5))
    assert (larger[0] == image[2:10, 2:10]).all()
    (outside,) = cut(image, np.array([[0.0, 0, 4, 4]]), (12, 12), settings(context=1.0))
    assert (outside[4:8, 4:8] == image[:4, :4]).all()
    assert (outside[:4, :4] == image[0, 0]).all(), "outside of the image, its border is repeated"
    colours = np.concatenate([image, image // 2, 255 - image], axis=2)
    assert (cut(colours, regions[:1], (8, 8), settings())[0] == colours[3:11, 2:10]).all()


def test_segments_of_an_image_depend_on_no_other_image() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 1), np.uint8)
    proposer = SegmentProposer(settings(min_side=3), seed=0)
    together, alone = proposer.propose(images), proposer.propose(images[2:])
    assert (together[2] == alone[0]).all()
    assert ((alone[0][:, 2:4] - alone[0][:, :2]) >= 3).all()
    assert (alone[0][:, 4] == 1).all()


def test_runs_that_do_not_fit_are_refused(classifier: Trained, detector: Trained, tmp_path: Path) -> None:
    data = {**classifier.declaration.sections["data"], **write_squares(tmp_path / "squares.zip")}
    with refused("views", got="detection", hint="leave them out"):
        ask(detector, {**detector.declaration.sections["data"], **data}, out=tmp_path / "out")
    with refused(
        "views.proposals", got="tiny_classification", allowed="segmentation, or a run that puts out boxes"
    ):
        ask(classifier, data, f"views.proposals={classifier.folder.path}", out=tmp_path / "out")
    text = (
        "views.proposals: the run takes images of [1, 8, 8], and data squares have [1, 24, 24], got 'tiny_detection'; "
        "set data.shape, or name a run on images of this shape"
    )
    with refused("views.proposals", got="tiny_detection", text=text):
        ask(classifier, data, f"views.proposals={detector.folder.path}", out=tmp_path / "out")
    with refused("run", got="nobody"):
        ask(classifier, data, "views.proposals=nobody", out=tmp_path / "out")
    with refused("views", got="proposals", hint="add data=<name> of data with boxes"):
        score(
            classifier,
            ["views=proposals"],
            tmp_path / "out",
            root=tmp_path,
            compose=compose_sections,
            command="evaluate",
        )
    with refused("data.format", got="class_folders", allowed="a format with boxes, such as csv_boxes"):
        ask(classifier, classifier.declaration.sections["data"], out=tmp_path / "out")


def test_missing_package_and_too_many_segments_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 80, 80, 1), np.uint8)
    proposer = SegmentProposer(settings(scales=[1e-3], smoothing=0, min_segment=1), seed=0)
    with refused("views.min_segment", got=1, hint="raise it"):
        proposer.propose(noise)
    monkeypatch.setattr(regions, "find_spec", lambda _: None)
    text = (
        "views.proposals: segmentation needs scikit-image, not installed here, got 'segmentation'; pip install -e "
        '".[proposals]", or name a run that puts out boxes'
    )
    with refused("views.proposals", got="segmentation", text=text):
        SegmentProposer(settings(), seed=0)


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("views.mirror", {"mirror": True}),
        ("views.most", {"most": 0}),
        ("views.scales", {"scales": []}),
        ("views.scales[1]", {"scales": [50.0, 0]}),
        ("views.smoothing", {"smoothing": -1}),
        ("views.min_segment", {"min_segment": 0}),
        ("views.min_side", {"min_side": -1}),
        ("views.context", {"context": -0.1}),
        ("views.confidence", {"confidence": 1.5}),
        ("views.overlap", {"overlap": -0.1}),
        ("views.background", {"background": "none"}),
    ],
)
def test_settings_out_of_range_are_refused(path: str, changes: dict[str, Any]) -> None:
    with refused(path):
        settings(**changes).check(CLASSES)


def test_proposals_are_not_for_training() -> None:
    with refused("views", got="proposals", hint="views=proposals"):
        compose(["views=proposals"])
