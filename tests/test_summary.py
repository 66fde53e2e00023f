"""The summary of a network: a table for people, JSON for machines, of what is planned and not built."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline import summary
from pipeline.errors import ConfigError

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "pytorch_lightning", "mlflow", "albumentations", "torchmetrics", "matplotlib", "sklearn"}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the command and returns what it prints."""

    def run_summary(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["summary", *arguments])
        summary.main()
        return capsys.readouterr().out

    return run_summary


def test_json_has_exactly_these_keys_and_the_published_figures(run: Any) -> None:
    shown = json.loads(run("model=resnet18", "shape=[3,224,224]", "outputs=1000", "format=json"))
    assert shown.keys() == {"name", "shape", "outputs", "weights", "multiply_adds", "layers"}
    assert (shown["name"], shown["shape"], shown["outputs"]) == ("resnet18", [3, 224, 224], 1000)
    assert (shown["weights"], shown["multiply_adds"]) == (11_689_512, 1_814_073_344)
    keys = {"name", "shape", "weights", "multiply_adds", "receptive_field"}
    assert all(layer.keys() == keys for layer in shown["layers"])
    first, *_, last = shown["layers"]
    assert first == {
        "name": "conv 64, 7x7 / 2",
        "shape": [64, 112, 112],
        "weights": 3 * 49 * 64 + 128,
        "multiply_adds": 112 * 112 * 64 * 147,
        "receptive_field": 7,
    }
    assert (last["name"], last["shape"], last["receptive_field"]) == ("linear 1000", [1000], 224)


def test_table_shows_every_layer_and_the_totals(run: Any) -> None:
    text = run("model=lenet5", "shape=[1,32,32]", "outputs=10")
    assert "lenet5, image 1 x 32 x 32, outputs 10" in text
    for heading in ("place", "layer", "output", "weights", "multiply-adds", "receptive field"):
        assert heading in text
    assert re.search(r"layers\[0\] +conv 6, 5x5 +6 x 28 x 28 +156 +117,600 +5 x 5\b", text)
    assert re.search(r"head\[0\] +linear 10 +10 +850 +840 +32 x 32\b", text)
    assert re.search(r"total +61,706 +416,520\b", text)


def test_shape_and_outputs_are_those_of_data_and_task_unless_given(run: Any) -> None:
    shown = json.loads(run("experiment=brain_unet", "format=json"))
    assert (shown["name"], shown["shape"], shown["outputs"]) == ("unet_small", [1, 192, 160], 3)
    assert shown["layers"][-1]["shape"] == [3, 192, 160]
    assert json.loads(run("format=json"))["shape"] == [1, 32, 32]


def test_network_is_shown_for_an_image_that_its_data_do_not_have(run: Any) -> None:
    assert json.loads(run("model=unet", "shape=[1,96,96]", "outputs=3", "format=json"))["shape"] == [
        1,
        96,
        96,
    ]


def test_overrides_reach_the_network(run: Any) -> None:
    shown = json.loads(run("model.norm=batch", "format=json"))
    assert shown["weights"] == 61_706 + 6 + 16 + 120  # a batch norm has one number more than a bias


MISTAKES = [
    ("shape=[1,96,96]", "summary: give both shape=[C,H,W] and outputs=K, or neither"),
    ("outputs=3", "summary: give both shape=[C,H,W] and outputs=K, or neither"),
    ("shape=[1,96] outputs=3", "shape must be [channels, rows, columns], such as [1,96,96], got [1, 96]"),
    (
        "shape=[1,96,0] outputs=3",
        "shape must be [channels, rows, columns], such as [1,96,96], got [1, 96, 0]",
    ),
    (
        "shape=[1,a,b] outputs=3",
        "shape must be [channels, rows, columns], such as [1,96,96], got [1, 'a', 'b']",
    ),
    ("shape=[1,96 outputs=3", "shape must be [channels, rows, columns], such as [1,96,96], got '[1,96'"),
    ("shape=96 outputs=3", "shape must be [channels, rows, columns], such as [1,96,96], got 96"),
    ("shape=[1,96,96] outputs=0", "outputs must be a whole number of at least 1, got 0"),
    ("shape=[1,96,96] outputs=true", "outputs must be a whole number of at least 1, got True"),
    ("format=jsn", "format=jsn: no such format; did you mean 'json'? allowed: json, table"),
    ("format=[", "format=[: no such format; allowed: json, table"),
    (
        "shape=[1,8,8] outputs=3",
        "model lenet5, layers[2] {conv: 16, kernel: 5, padding: valid}: kernel 5x5 does ",
    ),
    ("~model name=a shape=[1,9,9] outputs=3", "model.name is missing; write it (`none` or [] for nothing)"),
    ("~task", "task: the section is missing; conf/config.yaml composes it"),
    ("+data.colour=red", "data.colour: pipeline.data.facts.Facts has no such option; "),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistake_is_told_in_one_sentence(run: Any, arguments: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        run(*arguments.split())


def test_command_prints_json_alone_and_imports_nothing_heavy() -> None:
    code = "import sys; from pipeline.summary import main; main(); sys.stderr.write(' '.join(sys.modules))"
    command = [sys.executable, "-c", code, "experiment=digits_lenet5", "format=json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["weights"] == 61_706
    loaded = set(done.stderr.split())
    assert "hydra" in loaded
    assert loaded & HEAVY == set()


def test_mistake_ends_the_command_with_one_line() -> None:
    command = [sys.executable, "-m", "pipeline.summary", "format=jsn"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: format=jsn: no such format; .*\n", done.stderr)
