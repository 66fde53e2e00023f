"""The summary of a network: a table for people, JSON for machines, of what is planned and not built."""

import json
import re
import subprocess
import sys
from math import prod
from pathlib import Path
from typing import Any

import pytest

from pipeline import summary
from pipeline.plans.explain import formulas
from tests.refusals import refused

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


def test_explained_table_has_every_formula_below_its_row_and_the_plain_one_none(run: Any) -> None:
    asked = ("model=lenet5", "shape=[1,32,32]", "outputs=10")
    lines = [" ".join(line.split()) for line in run(*asked, "explain=true").splitlines()]
    start = lines.index("layers[2] conv 16, 5x5 16 x 10 x 10 2,416 240,000 14 x 14")
    assert lines[start + 1 : start + 5] == [
        "output: floor((14 + 2*0 - 5) / 1) + 1 = 10",
        "weights: 5*5*6*16 + 16 = 2,416",
        "multiply-adds: 10*10*5*5*6*16 = 240,000",
        "receptive field: 6 + (5 - 1)*2 = 14; jump 2*1 = 2",
    ]
    plain = [
        line for line in lines if not re.match(r"(output|weights|multiply-adds|receptive field): ", line)
    ]
    assert plain == [" ".join(line.split()) for line in run(*asked, "explain=false").splitlines()]
    network = summary.summarise(["model=lenet5"], {"shape": [1, 32, 32], "outputs": 10})
    assert len(lines) - len(plain) == sum(len(formulas(leaf)) for leaf in network.leaves()) > 20


def test_table_tells_the_memory_of_activations_and_the_weights_of_auxiliary_heads(run: Any) -> None:
    numbers = 6 * 28**2 + 6 * 14**2 + 16 * 10**2 + 16 * 5**2 + 120 + 120 + 84 + 10
    kilobytes = f"{4 * numbers / 1000:.1f} kB"
    text = run("model=lenet5", "shape=[1,32,32]", "outputs=10")
    assert text.splitlines()[-1] == f" activations: {kilobytes} per image in float32"
    sides = (512 * 128 + 128) + (128 * 4 * 4 * 1024 + 1024) + (1024 * 1000 + 1000)
    sides += (528 * 128 + 128) + (128 * 4 * 4 * 1024 + 1024) + (1024 * 1000 + 1000)
    text = run("model=googlenet", "shape=[3,224,224]", "outputs=1000")
    assert text.splitlines()[-1].endswith(f"; auxiliary heads, in training only: {sides:,} weights")


ASKED = ("compare=[resnet18,lenet5]", "shape=[3,64,64]", "outputs=10")


def test_compared_networks_stand_side_by_side_in_the_order_asked_for(run: Any) -> None:
    title, headings, *rows = [re.split(r"  +", line.strip()) for line in run(*ASKED).splitlines()]
    assert title == ["image 3 x 64 x 64"]
    assert headings == ["network", "layers with weights", "weights", "multiply-adds", "activations", "output"]
    assert [row[0] for row in rows] == ["resnet18", "lenet5"]
    # 17 convolutions and a linear layer, and 3 projections (He et al. 2015, table 1); 1000 outputs there, 10 here.
    assert rows[0][1:3] == ["21", f"{11_689_512 - 990 * 513:,}"]


def test_compared_networks_as_json_have_the_totals_of_each_alone(run: Any) -> None:
    shown = json.loads(run(*ASKED, "format=json"))
    assert [each["name"] for each in shown] == ["resnet18", "lenet5"]
    for each in shown:
        assert each.keys() == {"name", "weights", "multiply_adds", "activation_bytes"}
        alone = json.loads(run(f"model={each['name']}", *ASKED[1:], "format=json"))
        assert (each["weights"], each["multiply_adds"]) == (alone["weights"], alone["multiply_adds"])
        assert each["activation_bytes"] == 4 * sum(prod(layer["shape"]) for layer in alone["layers"])


def test_compared_networks_take_image_and_overrides_from_the_same_declaration(run: Any) -> None:
    one, two = json.loads(run("compare=[lenet5,linear]", "model.width=0.5", "format=json"))
    assert one["weights"] == json.loads(run("model=lenet5", "model.width=0.5", "format=json"))["weights"]
    assert two["weights"] == 32 * 32 * 10 + 10  # its only layer has the width of the outputs


COMMAND = "python -m pipeline.summary"
BOTH = "give both shape=[C,H,W] and outputs=K, or neither"
SHAPE = "[channels, rows, columns], such as [1,96,96]"
EXPLAIN = "true or false, and true only for the table of one network"
NETWORKS = "a list of networks, such as [vgg16,resnet50]"

# The arguments, where they are refused, and the fields of the refusal; once per message its whole wording.
MISTAKES: list[tuple[str, str, dict[str, Any]]] = [
    ("shape=[1,96,96]", COMMAND,
     {"got": ["shape"], "text": f"{COMMAND}: shape and outputs belong together, got ['shape']; {BOTH}"}),
    ("outputs=3", COMMAND, {"got": ["outputs"], "hint": BOTH}),
    ("shape=[1,96] outputs=3", "shape", {"got": [1, 96], "text": f"shape must be {SHAPE}, got [1, 96]"}),
    ("shape=[1,96,0] outputs=3", "shape", {"got": [1, 96, 0], "allowed": SHAPE}),
    ("shape=[1,a,b] outputs=3", "shape", {"got": [1, "a", "b"], "allowed": SHAPE}),
    ("shape=[1,96 outputs=3", "shape", {"got": "[1,96", "allowed": SHAPE}),
    ("shape=96 outputs=3", "shape", {"got": 96, "allowed": SHAPE}),
    ("shape=[true,32,32] outputs=2", "shape", {"text": f"shape must be {SHAPE}, got [True, 32, 32]"}),
    ("shape=[1,96,96] outputs=0", "outputs",
     {"got": 0, "allowed": "an integer of at least 1", "text": "outputs must be an integer of at least 1, got 0"}),
    ("shape=[1,96,96] outputs=true", "outputs", {"text": "outputs must be an integer of at least 1, got True"}),
    ("format=jsn", "format",
     {"got": "jsn", "allowed": ("json", "table"),
      "text": "format: unknown format 'jsn'; did you mean 'json'? allowed: json, table"}),
    ("format=[", "format", {"got": "[", "allowed": ("json", "table")}),
    ("shape=[1,8,8] outputs=3", "model.layers[2]", {"got": (5, 5), "hint": "use a larger image (data.shape), "}),
    ("~model name=a shape=[1,9,9] outputs=3", "model.name", {"hint": "add it (none or [] for nothing)"}),
    ("~task", "task", {"hint": "conf/config.yaml composes it"}),
    ("explain=1", "explain", {"text": f"explain must be {EXPLAIN}, got 1"}),
    ("explain=", "explain", {"got": None, "allowed": EXPLAIN}),
    ("explain=all", "explain", {"got": "all", "allowed": EXPLAIN}),
    ("explain=[true]", "explain", {"got": [True], "allowed": EXPLAIN}),
    ("explain=true format=json", "explain", {"got": True, "allowed": EXPLAIN}),
    ("explain=true compare=[lenet5]", "explain", {"got": True, "allowed": EXPLAIN}),
    ("compare=lenet5", "compare", {"got": "lenet5", "text": f"compare must be {NETWORKS}, got 'lenet5'"}),
    ("compare=[]", "compare", {"got": [], "allowed": NETWORKS}),
    ("compare=", "compare", {"got": None, "allowed": NETWORKS}),
    ("compare=[3]", "compare", {"got": [3], "allowed": NETWORKS}),
    ("compare=[lenet5,lenet6]", "model", {"got": "lenet6", "hint": "did you mean 'lenet5'? allowed: "}),
    ("compare=[lenet5,unet]", "model", {"hint": "choose a network for this task, or end its head accordingly"}),
    ("compare=[lenet5] outputs=3", COMMAND, {"got": ["compare", "outputs"], "hint": BOTH}),
    ("compare=[lenet5] format=jsn", "format", {"got": "jsn", "hint": "did you mean 'json'? "}),
    ("compare=[lenet5] model=resnet18", "compare",
     {"text": "compare: names the networks, and model= would be ignored; remove one of them"}),
    ("+data.colour=red", "data.colour", {"got": "colour", "hint": "allowed: allow_duplicates, background, classes, "}),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "path", "fields"), MISTAKES)
def test_mistake_is_told_in_one_sentence(run: Any, arguments: str, path: str, fields: dict[str, Any]) -> None:
    with refused(path, **fields) as caught:
        run(*arguments.split())
    assert "\n" not in str(caught.value)


CALLED = "model.layers=[{module: os.mkdir, path: %s}]"


@pytest.mark.parametrize("change", ["model.layers=[{module: os.getcwd}]", CALLED], ids=["getcwd", "mkdir"])
@pytest.mark.parametrize("asked", [("model=lenet5",), ("compare=[lenet5]",)], ids=["one", "compared"])
def test_module_that_is_not_allowed_is_refused_before_it_is_called(
    run: Any, tmp_path: Path, change: str, asked: tuple[str, ...]
) -> None:
    made = tmp_path / "made"
    change = change.replace("%s", f"'{made}'")
    name = "os.getcwd" if "getcwd" in change else "os.mkdir"
    with refused("model.layers[0].module", got=name, hint="allowed are names below "):
        run(*asked, change, "shape=[1,8,8]", "outputs=3")
    assert not made.exists()


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
    assert re.fullmatch(r"error: format: unknown format 'jsn'; .*\n", done.stderr)
