"""A logged model answers over HTTP, and to whoever loads it far from this project."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data.resizing import Resizing
from pipeline.register import register
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.tracking.uri import tracking_uri
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Predictor, open_trained
from tests.makers import decode, encode
from tests.tasks.kinds import CLASSES
from tests.tasks.test_contract import declare

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType.*"),  # by MLflow, of its own
]

DOCS = Path(__file__).parents[2] / "docs" / "using-a-model.md"
RANDOM = np.random.default_rng(0)
FILES = [
    encode(RANDOM.integers(0, 256, (31, 17), dtype=np.uint8)),
    encode(RANDOM.integers(0, 256, (8, 8), dtype=np.uint8)),
    encode(RANDOM.integers(0, 256, (40, 40), dtype=np.uint8), "JPEG"),
]


def logged(root: Path, task: str) -> RunFolder:
    """Return a run of tiny data whose model is registered as `tiny`."""
    declaration = declare(task, root, max_epochs=1)
    declaration = declaration.replace(tracking={"experiment": "tiny", "log_model": True})
    run = train(declaration, RunRequest("test", "test", waits=False), RunContext(root))
    register(str(run.path), "tiny", "champion", root=root)
    return run


def expected(run: RunFolder, root: Path, files: list[bytes]) -> Any:
    """Return what the run predicts for files, resized as for training."""
    images = [decode(file, name="file", shape=(1, 8, 8)) for file in files]
    predictor = Predictor(open_trained(run, root=root))
    outputs = predictor.outputs(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2))
    return predictor.task.decode(outputs).numpy()


def texts(files: list[bytes]) -> list[str]:
    return [base64.b64encode(file).decode() for file in files]


def ask_as_documented(server: Server, folder: Path) -> Any:
    """Run the line of docs/using-a-model.md that asks the server about `image.png`; return its answer."""
    (line,) = re.findall(r"^\$ (curl .*)$", DOCS.read_text(), re.MULTILINE)
    (folder / "image.png").write_bytes(FILES[0])
    command = line.replace("http://127.0.0.1:5001", server.url)
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["predictions"]


class Server:
    """`mlflow models serve`, on a free port of loopback."""

    def __init__(self, root: Path, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{port}"
        model = ["-m", "models:/tiny@champion", "--env-manager", "local"]
        place = ["-h", "127.0.0.1", "-p", port, "-w", "1"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "models", "serve", *model, *place],
            cwd=folder,
            env={
                **os.environ,
                "MLFLOW_TRACKING_URI": tracking_uri(root),
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + 240
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/ping", timeout=5):
                    return
            except OSError:
                assert self.process.poll() is None, self.process.communicate()[0].decode()
                assert time.monotonic() < deadline, "it does not answer"
                time.sleep(0.2)

    def post(self, body: Any) -> tuple[int, Any]:
        """Return status and answer for a body, as JSON."""
        request = urllib.request.Request(
            f"{self.url}/invocations",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    def stop(self) -> None:
        """End it with its workers."""
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.communicate(timeout=60)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Return an empty folder; nothing may be left there."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    yield folder
    assert list(folder.iterdir()) == []


def test_server_names_classes_and_refuses_bad_input_in_a_sentence(tmp_path: Path, elsewhere: Path) -> None:
    run = logged(tmp_path, "classification")
    probabilities = expected(run, tmp_path, FILES)
    server = Server(tmp_path, elsewhere)
    try:
        server.wait()
        for body in (
            {"inputs": texts(FILES)},
            {"instances": texts(FILES)},
            {"dataframe_records": [{"image": text} for text in texts(FILES)]},
        ):
            status, answer = server.post(body)
            assert status == 200, answer
            for found, truth in zip(answer["predictions"], probabilities, strict=True):
                assert found["class"] == CLASSES[truth.argmax()]
                assert list(found["probabilities"]) == CLASSES
                assert list(found["probabilities"].values()) == pytest.approx(truth, abs=1e-5)
        pixels = decode(FILES[1], name="file", shape=(1, 8, 8)).transpose(2, 0, 1)
        status, answer = server.post({"inputs": [pixels.tolist()]})
        assert status == 200, answer
        (found,) = answer["predictions"]
        assert list(found["probabilities"].values()) == pytest.approx(probabilities[1], abs=1e-5)
        colour = encode(RANDOM.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        for inputs, sentence in (
            (["no image!"], "image 0 is not base64"),
            (texts([FILES[0], b"text"]), "image 1 is not a readable file of the formats PNG, JPEG"),
            (texts([FILES[0][:100]]), "image 0 is not a readable file of the formats PNG, JPEG"),
            (texts([colour]), "image 0 is in colour, and the model takes grey images"),
            ([], "the input must be a list of images as base64, or an array (N, C, H, W)"),
            ([[[[0] * 9] * 8]], "an array must be of shape (N, 1, 8, 8), got (1, 1, 8, 9)"),
            ([[[[256] * 8] * 8]], "pixels must be whole numbers from 0 to 255"),
        ):
            status, answer = server.post({"inputs": inputs})
            assert (status, answer["message"]) == (400, sentence)
        assert server.post({"inputs": [[[[0] * 8] * 7 + [[0] * 7]]]})[0] == 400, "by MLflow's own words"
        status, answer = server.post({"dataframe_records": [{"file": "a"}]})
        assert (status, answer["message"]) == (400, "a table needs a column image, got file")
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(server.post, [{"inputs": texts(FILES)}] * 50))
        assert [status for status, _ in answers] == [200] * 50
        assert ask_as_documented(server, tmp_path) == answers[0][1]["predictions"][:1]
    finally:
        server.stop()


def test_server_of_several_labels_answers_those_that_are_more_likely_than_not(
    tmp_path: Path, elsewhere: Path
) -> None:
    run = logged(tmp_path, "multilabel")
    probabilities = expected(run, tmp_path, FILES)
    server = Server(tmp_path, elsewhere)
    try:
        server.wait()
        status, answer = server.post({"inputs": texts(FILES)})
        assert status == 200, answer
        for found, truth in zip(answer["predictions"], probabilities, strict=True):
            assert list(found["probabilities"].values()) == pytest.approx(truth, abs=1e-5)
            assert found["labels"] == [
                name for name, share in zip(CLASSES, truth, strict=True) if share >= 0.5
            ]
            assert "class" not in found
    finally:
        server.stop()


def test_masks_are_answered_as_png_and_both_flavours_load_elsewhere(tmp_path: Path, elsewhere: Path) -> None:
    run = logged(tmp_path, "segmentation")
    masks = expected(run, tmp_path, FILES)
    pixels = [decode(file, name="file", shape=(1, 8, 8)).transpose(2, 0, 1) for file in FILES]
    np.save(tmp_path / "pixels.npy", np.stack(pixels))
    (tmp_path / "texts.json").write_text(json.dumps(texts(FILES)))
    code = """
import json, sys
import mlflow, numpy, torch
where, out = sys.argv[1:]
served = mlflow.pyfunc.load_model("models:/tiny@champion").predict(json.load(open(where + "/texts.json")))
graph = mlflow.pytorch.load_model("models:/tiny@champion")
masks = graph(torch.from_numpy(numpy.load(where + "/pixels.npy"))).tolist()
assert "pipeline" not in sys.modules
json.dump({"served": served, "masks": masks}, open(out, "w"))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(tmp_path), str(tmp_path / "out.json")],
        cwd=elsewhere,
        env={**os.environ, "MLFLOW_TRACKING_URI": tracking_uri(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert np.array_equal(found["masks"], masks)
    for answer, mask, file in zip(found["served"], masks, FILES, strict=True):
        assert answer["classes"] == CLASSES
        shown = Image.open(io.BytesIO(base64.b64decode(answer["mask"])), formats=["PNG"])
        place = Resizing("squash", (8, 8), padding_value=0).place(Image.open(io.BytesIO(file)).size[::-1])
        assert np.array_equal(np.asarray(shown), place.restore(np.array(mask, np.uint8), unseen=255))
