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
from pipeline.errors import ConfigError
from pipeline.plans.explain import formulas

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
        "model.layers[2]: in {conv: 16, kernel: 5, padding: valid} of model lenet5, the kernel does not fit its ",
    ),
    ("~model name=a shape=[1,9,9] outputs=3", "model.name: missing key; add it (none or [] for nothing)"),
    ("~task", "task: the section is missing; conf/config.yaml composes it"),
    *[
        (f"explain={given}", f"explain must be true or false, for the table of one network, got {read}")
        for given, read in (("1", "1"), ("", "None"), ("all", "'all'"), ("[true]", "[True]"))
    ],
    ("explain=true format=json", "explain must be true or false, for the table of one network, got True"),
    (
        "explain=true compare=[lenet5]",
        "explain must be true or false, for the table of one network, got True",
    ),
    *[
        (f"compare={given}", f"compare must list networks, such as [vgg16,resnet50], got {read}")
        for given, read in (("lenet5", "'lenet5'"), ("[]", "[]"), ("", "None"), ("[3]", "[3]"))
    ],
    ("compare=[lenet5,lenet6]", "model=lenet6: no such option; did you mean 'lenet5'? allowed: "),
    (
        "compare=[lenet5,unet]",
        "model unet puts out (10, 32, 32) for an image of (1, 32, 32), the task needs (10,)",
    ),
    ("compare=[lenet5] outputs=3", "summary: give both shape=[C,H,W] and outputs=K, or neither"),
    ("compare=[lenet5] format=jsn", "format=jsn: no such format; did you mean 'json'? allowed: json, table"),
    ("+data.colour=red", "data.colour: pipeline.data.facts.Facts has no such option; "),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistake_is_told_in_one_sentence(run: Any, arguments: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        run(*arguments.split())


CALLED = "model.layers=[{module: os.mkdir, path: %s}]"


@pytest.mark.parametrize("change", ["model.layers=[{module: os.getcwd}]", CALLED], ids=["getcwd", "mkdir"])
@pytest.mark.parametrize("asked", [("model=lenet5",), ("compare=[lenet5]",)], ids=["one", "compared"])
def test_module_that_is_not_allowed_is_refused_before_it_is_called(
    run: Any, tmp_path: Path, change: str, asked: tuple[str, ...]
) -> None:
    made = tmp_path / "made"
    change = change.replace("%s", f"'{made}'")
    with pytest.raises(ConfigError, match=r"^model\.layers\[0\]\.module: 'os\.\w+' is not allowed; "):
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
    assert re.fullmatch(r"error: format=jsn: no such format; .*\n", done.stderr)


def test_side_that_is_no_number_is_refused(run: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"^shape must be \[channels, rows, columns\], .* got \[True, 32, 32\]"
    ):
        run("shape=[true,32,32]", "outputs=2")


def test_network_that_a_comparison_would_ignore_is_refused(run: Any) -> None:
    with pytest.raises(ConfigError, match="model="):
        run("model=resnet18", "compare=[lenet5]")
