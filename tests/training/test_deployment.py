"""Exported files: they predict as the run, describe themselves, and replace nothing that is not an export."""

from __future__ import annotations

import io
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import pipeline.export
import pipeline.register
import pipeline.training.trained
from pipeline.data.resizing import Resizing
from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.export import export
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.tasks.demands import load_demands
from pipeline.training import agreement, deployment
from pipeline.training.agreement import largest_difference
from pipeline.training.assemble import build_model
from pipeline.training.deployment import ABOUT, EXAMPLES, FORMATS, Deployed, input_sides, trace
from pipeline.training.export import _plain_statistics
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Predictor, Trained, open_trained
from tests.refusals import refused
from tests.tasks.rows import ROWS
from tests.tasks.test_contract import declare

pytestmark = pytest.mark.slow

Runs = dict[str, tuple[Path, RunFolder]]
FORMS = pytest.mark.parametrize("form", sorted(FORMATS))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Return the project and the finished run of each task."""
    made = {}
    for name in ROWS:
        root = tmp_path_factory.mktemp(name)
        request = RunRequest("test", "test", waits=False)
        made[name] = root, train(declare(name, root, max_epochs=1), request, RunContext(root))
    return made


def need(form: str) -> None:
    missing = [package for package in FORMATS[form].packages if find_spec(package) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed: pip install -e '.[onnx]'")


def predict(form: str, path: Path, inputs: dict[str, NDArray[Any]]) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return the predictions of a file for its inputs and its description, by the libraries alone."""
    if form == "torch":
        entry = {ABOUT: ""}
        program = torch.export.load(path, extra_files=entry)
        tensors = [torch.from_numpy(each) for each in inputs.values()]
        return program.module()(*tensors).numpy(), json.loads(entry[ABOUT])
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    (predictions,) = session.run(None, inputs)
    return predictions, json.loads(session.get_modelmeta().custom_metadata_map[ABOUT])


@FORMS
@pytest.mark.parametrize("name", sorted(ROWS))
def test_file_predicts_as_the_run_and_describes_itself(
    name: str, form: str, runs: Runs, tmp_path: Path
) -> None:
    need(form)
    root, run = runs[name]
    file = tmp_path / f"model{FORMATS[form].suffix}"
    told = export(str(run.path), form, file, root=root)
    assert told.startswith(f"{file}: 0.")
    assert f"largest difference from {run.path} on " in told
    trained_run = open_trained(run, root=root)
    predictor = Predictor(trained_run)
    images = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 1), dtype=np.uint8)
    outputs = predictor.outputs(torch.from_numpy(images).permute(0, 3, 1, 2))
    expected = predictor.task.decode(outputs).numpy()
    inputs: dict[str, NDArray[Any]] = {"images": images}
    if places := load_demands(trained_run.declaration.task).places:
        inputs["sides"] = np.array([[8, 8], [4, 6], [1, 30], [500, 3], [8, 8]])
        placed = [
            Resizing("squash", (8, 8), 0).place((rows, columns)).predictions(places, each)
            for (rows, columns), each in zip(inputs["sides"].tolist(), expected, strict=True)
        ]
        expected = np.stack(placed).astype(np.float32)
    for count in (5, 1):
        predictions, about = predict(form, file, {key: each[:count] for key, each in inputs.items()})
        assert predictions.dtype == expected.dtype
        np.testing.assert_allclose(predictions, expected[:count], atol=1e-5)
    shown = {"mode": "L", "rows": 8, "columns": 8, "resize": "squash", "filter": "BILINEAR", "layout": "NHWC"}
    assert about.items() >= shown.items()
    sides = (
        [8, 8] if name == "detection" else [None, None]
    )  # its map of a single cell fixes the sides of a graph
    assert about["input"] == ["N", *sides, 1], "it is fully convolutional"
    assert about["classes"] == trained_run.declaration.data.classes
    assert (about["places"], about["points"]) == (places, trained_run.declaration.data.points)
    assert about["fingerprint"] == run.path.name
    assert about["data"] == run.result()["data"]
    assert about["commit"] == run.state()["commit"]
    assert about["scored_in"] == run.result()["scored_in"]


def test_export_replaces_an_older_export_and_nothing_else(runs: Runs, tmp_path: Path) -> None:
    root, run = runs["classification"]
    file, precious = tmp_path / "model.pt2", tmp_path / "precious.pt2"
    precious.write_bytes(b"the weights of a thesis")
    text = f"{precious}: is not an older export, which alone is replaced; choose another name"
    with refused(str(precious), text=text):
        export(str(run.path), "torch", precious, root=root)
    export(str(run.path), "torch", file, root=root)
    export(str(run.path), "torch", file, root=root)
    assert precious.read_bytes() == b"the weights of a thesis"
    with refused(str(tmp_path / "model.pth"), allowed="a file whose name ends in .pt2"):
        export(str(run.path), "torch", tmp_path / "model.pth", root=root)
    with refused(str(tmp_path / "new" / "a.pt2"), hint=f"mkdir -p {tmp_path / 'new'}"):
        export(str(run.path), "torch", tmp_path / "new" / "a.pt2", root=root)
    with refused("python -m pipeline.export", got="tflite", allowed=["onnx", "torch"]):
        export(str(run.path), "tflite", file, root=root)


def test_onnx_without_its_packages_is_refused_by_the_name_of_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deployment, "find_spec", lambda name: None if name == "onnxruntime" else name)
    text = (
        "python -m pipeline.export: ONNX needs onnxruntime, not installed here; "
        'pip install -e ".[onnx]", or export torch'
    )
    with refused("python -m pipeline.export", text=text):
        export("any", "onnx", tmp_path / "model.onnx", root=tmp_path)


def test_commands_are_typed_with_what_they_need(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root, run = runs["classification"]
    monkeypatch.chdir(root)
    for module, arguments, problem in (
        (pipeline.export, ["a", "onnx"], "expected 3 arguments"),
        (pipeline.register, ["a", "b", "challenger"], "expected 2 or 3 arguments, got 3"),
    ):
        monkeypatch.setattr("sys.argv", ["", *arguments])
        with refused(f"python -m {module.__name__}", hint=f"usage: {module.USAGE}") as caught:
            module.main()
        assert caught.value.problem == problem
    monkeypatch.setattr("sys.argv", ["", f"runs/{run.path.name}", "torch", str(tmp_path / "model.pt2")])
    pipeline.export.main()
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'model.pt2'}: 0.")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt2"]


def test_file_that_predicts_otherwise_is_not_written(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, run = runs["classification"]
    read = FORMATS["torch"].read

    def misread(content: bytes) -> deployment.Predict:
        own = read(content)
        return lambda *inputs: own(*inputs) + np.float32(0.001)

    monkeypatch.setitem(
        FORMATS, "torch", deployment.Format("torch", ".pt2", (), FORMATS["torch"].write, misread)
    )
    with refused(str(run.path), hint="nothing was written") as caught:
        export(str(run.path), "torch", tmp_path / "model.pt2", root=root)
    assert caught.value.problem == "the exported file predicts otherwise than the run, by up to 0.001"
    assert list(tmp_path.iterdir()) == []


def test_file_is_compared_on_noise_where_the_data_are_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    declaration = declare("classification", tmp_path, max_epochs=1)
    run = train(declaration, RunRequest("test", "test", waits=False), RunContext(tmp_path))
    (tmp_path / "data.zip").unlink()
    told = export(str(run.path), "torch", tmp_path / "model.pt2", root=tmp_path)
    assert "on 20 images of noise: " in told
    assert "warning: the file is compared with the run on noise, since its data are not here: " in (
        capsys.readouterr().err
    )


def test_differences_of_classes_count_by_the_margin_at_which_they_were_chosen() -> None:
    classes = np.array([[0, 1, 2]], np.uint8)
    margins = np.array([[0.5, 0.25, 0.00001]], np.float32)
    assert largest_difference(classes, classes, margins) == 0
    assert largest_difference(np.array([[0, 1, 1]], np.uint8), classes, margins) == pytest.approx(0.00001)
    assert largest_difference(np.array([[0, 2, 1]], np.uint8), classes, margins) == 0.25
    assert largest_difference(classes.astype(np.int64), classes, margins) == np.inf
    shares = np.array([[0.25, 0.75]], np.float32)
    assert largest_difference(shares[:, ::-1], shares, margins) == 0.5
    assert not largest_difference(shares * np.nan, shares, margins) <= agreement.TOLERANCE


SIDES = [
    # overrides, rows and columns that the file takes
    (["experiment=brain_unet", "model=unet_small"], [None, None]),
    (["data=digits", "model=resnet20"], [None, None]),
    (["experiment=digits_lenet5"], [32, 32]),
    (["data=digits", "model=resnet20", "preprocess=mean_image"], [32, 32]),
    (["data=digits", "model=resnet20", "preprocess=zca_whiten"], [32, 32]),
    (["data=digits", "model=resnet20", "data.shape=[1,40,40]", "input_shape=[1,32,32]", "views=ten_crop"],
     [40, 40]),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "sides"), SIDES, ids=[" ".join(row[0]) for row in SIDES])
def test_sides_are_free_where_the_network_allows_them_and_views_are_those_of_the_run(
    overrides: list[str], sides: list[int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = compose(overrides)
    for module in (deployment, pipeline.training.trained):
        monkeypatch.setattr(module, "load_model", untrained)
    trained = Trained(RunFolder(Path()), declared)
    model, predictor = Deployed(trained).eval(), Predictor(trained)
    channels, rows, columns = declared.data.shape
    program = trace(model, torch.zeros((EXAMPLES, rows, columns, channels), dtype=torch.uint8))
    assert input_sides(program) == sides
    file = io.BytesIO(FORMATS["torch"].write(program, {}))
    module = torch.export.load(file).module()
    factor = 2 if None in sides else 1
    shape = (3, rows * factor, columns * factor, channels)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.manual_seed(0))
    torch.testing.assert_close(module(images), model(images))
    outputs = predictor.outputs(images[:, :rows, :columns].permute(0, 3, 1, 2))
    torch.testing.assert_close(model(images[:, :rows, :columns]), predictor.task.decode(outputs))


def untrained(trained: Trained) -> torch.nn.Sequential:
    declaration: Declaration = trained.declaration
    return build_model(declaration, _plain_statistics(declaration)).eval()
