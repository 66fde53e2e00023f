"""Style transfer: what is refused, what is kept of a training, and runs whose network is an image."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import export as export_command
from pipeline import predict as predict_command
from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import identity, stage_digests
from pipeline.errors import ConfigError
from pipeline.files import read_json
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.training.assemble import build_task
from pipeline.training.checks import check_trainable
from pipeline.training.evaluation import evaluate
from pipeline.training.prediction import predict
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import open_trained
from tests.refusals import refused
from tests.tasks.style_files import SIDE, stripes, write_style

IMAGE = "task.style_image"
LBFGS = ["optimizer=lbfgs", "optimizer.max_iter=4", "optimizer.history_size=3"]


def declare(folder: Path, *overrides: str, **task: Any) -> Declaration:
    """Return a declaration of a transfer of the tiny style onto a tiny image."""
    settings = write_style(folder) | task
    if not (folder / "content.png").exists():
        pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "content.png")
    facts = [f"data.root={folder / 'content.png'}", "data.shape=[3,16,16]", "data.digest=null"]
    composed = compose(["experiment=style_wave", *facts, "trainer.progress=false", *overrides])
    return composed.replace(task={**composed.task, **settings})


def run_of(declaration: Declaration, root: Path, observer: TrainingObserver | None = None) -> RunFolder:
    request = RunRequest("test", "test", waits=False, observer=observer or TrainingObserver())
    return train(declaration, request, RunContext(root))


def weights_of(run: RunFolder) -> torch.Tensor:
    (weights,) = torch.load(run.path / "weights.pt", weights_only=True).values()
    assert isinstance(weights, torch.Tensor)
    return weights


STYLES = {
    "alpha.png": (Image.new("RGBA", (20, 20), (9, 9, 9, 100)), "has transparent pixels"),
    "line.png": (Image.new("RGB", (20, 201)), "201 x 20 pixels"),
    "dot.png": (Image.new("RGB", (15, 15)), "15 x 15 pixels"),
    "cmyk.jpg": (Image.new("CMYK", (20, 20)), "cannot be converted without loss"),
}


@pytest.mark.parametrize("name", STYLES)
def test_style_image_that_cannot_be_used_is_refused_before_training(name: str, tmp_path: Path) -> None:
    image, problem = STYLES[name]
    image.save(tmp_path / name)
    with refused(IMAGE) as caught:
        check_trainable(declare(tmp_path, style_image=str(tmp_path / name)))
    assert problem in str(caught.value)
    assert name in str(caught.value)


def test_file_that_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "style.txt").write_text("blue")
    with refused(IMAGE):
        check_trainable(declare(tmp_path, style_image=str(tmp_path / "style.txt")))


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("mine.png", "name the file of an image"),
        ("built/style/none.ppm", "python -m pipeline.data.bundled style built/style"),
    ],
)
def test_missing_style_image_is_refused_before_anything_is_recorded(
    path: str, hint: str, tmp_path: Path
) -> None:
    declaration = declare(tmp_path / "files", style_image=path)
    with refused(IMAGE, got=path, hint=hint):
        run_of(declaration, tmp_path)
    assert not (tmp_path / "runs").exists()


def test_missing_content_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    declaration = declare(tmp_path, "data.root=built/style/none.ppm")
    with refused("data.root", hint="make it with `python -m pipeline.data.bundled style built/style`"):
        run_of(declaration, tmp_path)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "RGB"])
def test_style_image_may_be_grey_or_have_a_palette_or_an_opaque_alpha_channel(
    mode: str, tmp_path: Path
) -> None:
    Image.fromarray(stripes(SIDE, SIDE).copy()).convert(mode).save(tmp_path / "mine.png")
    task = build_task(declare(tmp_path, style_image=str(tmp_path / "mine.png")))
    assert np.array_equal(task.style_picture()[..., 2], stripes(SIDE, SIDE))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("override", "path", "got"),
    [
        ("task.style_weight=0.0", "task.style_weight", 0.0),
        ("task.content_weight=-1.0", "task.content_weight", -1.0),
        ("task.variation_weight=-0.5", "task.variation_weight", -0.5),
        ("task.style_side=8", "task.style_side", 8),
        ("task.frame_every=0", "task.frame_every", 0),
        ("task.loss_network.style_levels=[0.0]", "task.loss_network.style_levels", [0.0]),
        ("data.allow_duplicates=false", "data.allow_duplicates", False),
        ("data.split=random", "data.split", "random"),
        ("data.fold={index: 0, of: 2}", "data.fold", {"index": 0, "of": 2}),
    ],
)
def test_setting_out_of_range_is_refused_on_composition(override: str, path: str, got: Any) -> None:
    with refused(path, got=got):
        compose(["experiment=style_wave", override])


def test_images_that_are_too_small_for_the_loss_network_are_refused() -> None:
    compose(["experiment=style_wave", "task/loss_network=vgg16", "data.shape=[3,32,32]"])
    with refused("data.shape", hint="choose more rows and columns"):
        compose(["experiment=style_wave", "task/loss_network=vgg16", "data.shape=[3,31,48]"])


def test_degraded_images_are_refused() -> None:
    with refused("data.degrade", got={"noise": 25}, allowed="null for style transfer"):
        compose(["experiment=style_wave", "data.degrade={noise: 25}"])


def test_class_inside_a_loss_network_is_checked_like_one_of_a_model() -> None:
    with refused("task.loss_network.model.layers[0].module", got="os.system"):
        compose(["experiment=style_wave", "task.loss_network.model.layers=[{module: os.system}]"])


def test_style_image_and_weights_decide_a_run_and_so_do_the_layers_of_the_loss_network(
    tmp_path: Path,
) -> None:
    declaration = declare(tmp_path)
    before, stages = identity(declaration, root=tmp_path), stage_digests(declaration, root=tmp_path)
    assert before["files"].keys() == {IMAGE, "task.loss_network.pretrained"}
    Image.fromarray(255 - stripes(SIDE, SIDE)).save(tmp_path / "style.png")
    after, other_stages = identity(declaration, root=tmp_path), stage_digests(declaration, root=tmp_path)
    assert {key for key in before if before[key] != after[key]} == {"files"}
    assert {key for key in stages if stages[key] != other_stages[key]} == {"search", "train"}
    (tmp_path / "style.png").unlink()
    assert (
        stage_digests(declaration, root=tmp_path).keys() == stages.keys()
    )  # it may be made before the training
    lite = compose(["experiment=style_wave"])
    classes = {"pipeline.layers.containers", "pipeline.layers.drops"}
    from pipeline.declaration.keys import _train_modules

    assert classes <= set(_train_modules(lite))


@pytest.mark.slow
def test_transfer_by_lbfgs_lowers_the_style_error_and_is_evaluated(tmp_path: Path) -> None:
    declaration = declare(tmp_path, *LBFGS, "trainer.max_epochs=3", style_weight=1.0)
    run = run_of(declaration, tmp_path)
    assert weights_of(run).shape == (3, 16, 16)
    history = run.history()
    assert [set(row) >= {"val/style_error", "val/content_error", "train/loss"} for row in history] == [
        True
    ] * 3
    assert history[-1]["val/style_error"] < 0.5 * history[-1]["val/input_style_error"]
    pictures = {path.name for path in (run.path / "pictures").rglob("*.png")}
    assert {f"epoch_{epoch:05d}.png" for epoch in (1, 2, 3)} <= pictures
    assert {"kept.png", "frames.png", "outputs.png", "learning_curves.png"} <= pictures
    last, kept = (np.asarray(Image.open(run.frames / name)) for name in ("epoch_00003.png", "kept.png"))
    assert np.array_equal(last, kept)
    scores = evaluate(run, tmp_path / "out", root=tmp_path)
    assert scores["style_error"]["value"] == pytest.approx(run.metrics()["val/style_error"], rel=1e-5)
    assert (
        "test images that are training images, too: 1 of 1" in (tmp_path / "out" / "remarks.txt").read_text()
    )
    assert (tmp_path / "out" / "pictures" / "results.png").exists()
    digest = run.result()["task"]["style_digest"]
    Image.fromarray(255 - stripes(SIDE, SIDE)).save(tmp_path / "style.png")
    with refused(IMAGE, allowed=(digest,), hint="restore it, or train again"):
        evaluate(run, tmp_path / "out", root=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["pixels_from_noise", "pixels_from_content"])
def test_transfer_that_is_stopped_goes_on_to_the_same_image(model: str, tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(history: Any) -> bool:
        if len(history) == 3:
            raise Interrupted
        return False

    declaration = declare(tmp_path, *LBFGS, "trainer.max_epochs=4", f"model={model}", style_weight=1.0)
    for folder in ("whole", "resumed"):
        (tmp_path / folder).mkdir()
    whole = run_of(declaration, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run_of(declaration, tmp_path / "resumed", TrainingObserver(should_stop=interrupt))
    resumed = run_of(declaration, tmp_path / "resumed")
    assert torch.equal(weights_of(whole), weights_of(resumed))
    assert (whole.path / "history.csv").read_text() == (resumed.path / "history.csv").read_text()
    names = [sorted(path.name for path in run.frames.iterdir()) for run in (whole, resumed)]
    assert names[0] == names[1]
    assert read_json(whole.path / "digests.json").keys() == read_json(resumed.path / "digests.json").keys()


@pytest.mark.slow
def test_run_that_goes_on_from_a_shorter_one_has_its_frames(tmp_path: Path) -> None:
    settings = [*LBFGS, "task.frame_every=2"]
    run_of(declare(tmp_path, *settings, "trainer.max_epochs=2"), tmp_path)
    run = run_of(declare(tmp_path, *settings, "trainer.max_epochs=4"), tmp_path)
    assert run.state()["continues"]
    assert sorted(path.name for path in run.frames.iterdir()) == [
        "epoch_00002.png",
        "epoch_00004.png",
        "kept.png",
    ]


@pytest.mark.slow
def test_prediction_export_and_logging_say_that_an_image_applies_to_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declaration = declare(tmp_path, *LBFGS, "trainer.max_epochs=1")
    run = run_of(declaration, tmp_path)
    monkeypatch.chdir(tmp_path)
    named = str(run.path.relative_to(tmp_path))
    monkeypatch.setattr(sys, "argv", ["predict", named, "content.png", "out"])
    text = f"{named}: model pixels_from_content is one image, and applies to no other; what it has made is "
    with refused(named, text=f"{text}{named}/pictures/frames/kept.png"):
        predict_command.main()
    with refused(named, hint="kept.png"):
        export_command.export(named, "torch", Path("out.pt2"), root=tmp_path)
    logging = declaration.replace(tracking={**declaration.sections["tracking"], "log_model": True})
    with refused("tracking.log_model", got=True, hint="set it to false"):
        run_of(logging.replace(seed=1), tmp_path)


@pytest.mark.slow
def test_network_for_a_style_predicts_without_the_style_and_its_loss_network(tmp_path: Path) -> None:
    files = [f"{split}/{index}.png" for split in ("train", "val") for index in range(2)]
    for seed, file in enumerate(files):
        path = tmp_path / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)).save(path)
    facts = [f"data.root={tmp_path / 'images'}", "data.shape=[3,16,16]", "data.digest=null"]
    small = ["model.width=0.1", "trainer.max_epochs=1", "trainer.progress=false", "tracking.log_model=false"]
    composed = compose(["experiment=style_fast", *facts, *small, "augmentation.steps=[]"])
    run = run_of(composed.replace(task={**composed.task, **write_style(tmp_path)}), tmp_path)
    for file in ("style.png", "weights.pt"):
        (tmp_path / file).unlink()
    trained = open_trained(run, root=tmp_path)
    (tmp_path / "out").mkdir()
    predict([trained], tmp_path / "images", tmp_path / "out", overlays=False)
    for file in files:
        with Image.open(tmp_path / "out" / "predictions" / file) as image:
            assert (image.size, image.mode) == ((30, 20), "RGB")


@pytest.mark.slow
def test_network_that_is_an_image_refuses_several(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for index in range(2):
            file = tmp_path / "images" / split / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([index, len(split)]).integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(file)
    declaration = declare(tmp_path, "data.format=images", f"data.root={tmp_path / 'images'}")
    with refused("data", got=str(tmp_path / "images"), hint="name one of them by data.root") as caught:
        run_of(declaration, tmp_path)
    assert isinstance(caught.value, ConfigError)


def test_colours_that_are_kept_change_the_style_for_each_image(tmp_path: Path) -> None:
    targets = torch.stack([torch.full((3, 16, 16), 60), torch.full((3, 16, 16), 200)]).to(torch.uint8)
    batch = {"image": targets, "target": targets}
    rows = {}
    for keeps in (False, True):
        task = build_task(declare(tmp_path, keep_colours=keeps))
        rows[keeps] = task.evidence(targets.float() / 255, batch)[:, 0]
    assert rows[False].min() > 0.01
    torch.testing.assert_close(
        rows[True], torch.zeros(2, dtype=torch.float64)
    )  # a style of one colour, the image's own
