"""The lines of docs/using-a-model.md that use an exported file, run where Convoy is not."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.data.depth import to_8_bits
from pipeline.data.pixel_facts import RULES
from pipeline.export import export
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RunFolder
from pipeline.training.prediction import predict
from pipeline.training.run import RunRequest, train
from pipeline.training.trained import Predictor, open_trained
from tests.makers import decode
from tests.tasks.kinds import CLASSES, POINTS
from tests.tasks.test_contract import declare

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs" / "using-a-model.md"


def lines_about(word: str) -> str:
    """Return the only Python code on the page that contains a word."""
    (code,) = [
        each for each in re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL) if word in each
    ]
    return code


def need_onnx() -> None:
    if find_spec("onnxruntime") is None or find_spec("onnxscript") is None:
        pytest.skip("the extra is not installed: pip install -e '.[onnx]'")


def run_alone(code: str, folder: Path) -> str:
    """Run code in isolation from this project, in a folder; return what it printed."""
    script = folder / "script.py"
    script.write_text(f"import sys\n{code}\nassert 'pipeline' not in sys.modules\n")
    done = subprocess.run(
        [sys.executable, "-I", script.name], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def predicted(
    root: Path, form: str, name: str, *, task: str = "classification", **facts: object
) -> Predictor:
    """Export a trained run to a file of the folder `elsewhere`; return its predictor."""
    plain = declare(task, root, max_epochs=1)
    declaration = plain.replace(data={**plain.sections["data"], **facts})
    run = train(declaration, RunRequest("t", "t", waits=False), RunContext(root))
    (root / "elsewhere").mkdir()
    export(str(run.path), form, root / "elsewhere" / name, root=root)
    return Predictor(open_trained(run, root=root))


def test_lines_for_onnx_print_the_probabilities_of_the_run(tmp_path: Path) -> None:
    need_onnx()
    predictor = predicted(tmp_path, "onnx", "digits.onnx")
    file = tmp_path / "elsewhere" / "image.png"
    pixels = np.random.default_rng(0).integers(0, 256, (41, 23), dtype=np.uint8)
    Image.fromarray(pixels).save(file)
    image = decode(file.read_bytes(), name="image.png", shape=(1, 8, 8))
    outputs = predictor.outputs(torch.tensor(image).permute(2, 0, 1)[None])
    expected = predictor.task.decode(outputs)[0].tolist()
    printed = [row.split() for row in run_alone(lines_about("InferenceSession"), file.parent).splitlines()]
    assert [name for name, _ in printed] == CLASSES
    assert [float(number) for _, number in printed] == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("rule", RULES)
def test_lines_for_masks_write_what_predict_writes(rule: str, tmp_path: Path) -> None:
    need_onnx()
    facts = {"resize": rule, "ignore_label": 255}
    predicted(tmp_path, "onnx", "digits.onnx", task="segmentation", **facts)
    file = tmp_path / "elsewhere" / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (41, 23), dtype=np.uint8)).save(file)
    whole = lines_about("InferenceSession").split("for name, probability")[0] + lines_about("mask.save")
    run_alone(whole, file.parent)
    (run,) = (tmp_path / "runs").glob("*/result.json")
    (tmp_path / "out").mkdir()
    predict([open_trained(RunFolder(run.parent), root=tmp_path)], file, tmp_path / "out", overlays=False)
    with Image.open(file.parent / "mask.png") as alone, Image.open(tmp_path / "out/masks/image.png") as mask:
        assert alone.size == (23, 41)
        assert np.array_equal(np.asarray(alone), np.asarray(mask))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("task", ["localization", "landmarks"])
def test_lines_for_places_print_what_predict_writes(task: str, rule: str, tmp_path: Path) -> None:
    need_onnx()
    predicted(tmp_path, "onnx", "digits.onnx", task=task, resize=rule)
    file = tmp_path / "elsewhere" / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (410, 230), dtype=np.uint8)).save(file)
    own = lines_about('about["points"]' if task == "landmarks" else "label >= 0")
    whole = lines_about("InferenceSession").split("(predictions,)")[0] + own
    printed = [line.split() for line in run_alone(whole, file.parent).splitlines()]
    (run,) = (tmp_path / "runs").glob("*/result.json")
    (tmp_path / "out").mkdir()
    predict([open_trained(RunFolder(run.parent), root=tmp_path)], file, tmp_path / "out", overlays=False)
    with (tmp_path / "out" / "predictions.csv").open(newline="") as table:
        ((_, *cells, _),) = list(csv.reader(table))[1:]
    if task == "landmarks":
        cells = [POINTS[0], *cells[:2], POINTS[1], *cells[2:]]
    found = [word for line in printed for word in line]
    assert [each for each in found if each.isalpha()] == [each for each in cells if each.isalpha()]
    numbers = [[float(each) for each in words if not each.isalpha()] for words in (found, cells)]
    assert len(numbers[0]) >= 4
    assert numbers[0] == pytest.approx(numbers[1], abs=0.02), "of 410 pixels, in single precision"


def test_lines_for_16_bits_make_the_grey_levels_of_training(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 5000, (9, 8), dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "image.png")
    head = "import numpy as np\nfrom PIL import Image\nabout = {'value_range': [0, 4095], 'mode': 'L'}\n"
    printed = run_alone(f"{head}{lines_about('low, high')}print(np.asarray(original).tolist())", tmp_path)
    assert json.loads(printed) == to_8_bits(values, [0, 4095]).tolist()


def test_lines_for_torch_print_the_probabilities_of_the_run(tmp_path: Path) -> None:
    predictor = predicted(tmp_path, "torch", "digits.pt2")
    outputs = predictor.outputs(torch.zeros((1, 1, 8, 8), dtype=torch.uint8))
    expected = predictor.task.decode(outputs)[0].tolist()
    printed = run_alone(lines_about("torch.export.load"), tmp_path / "elsewhere")
    found = re.findall(r"'(\w+)': ([\d.e-]+)", printed)
    assert [name for name, _ in found] == CLASSES
    assert [float(number) for _, number in found] == pytest.approx(expected, abs=1e-5)
