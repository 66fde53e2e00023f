"""The stage compose: every choice composes; a mistake is told soon, in one sentence, and writes nothing."""

import re
import resource
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.compose import main as command
from pipeline.declaration import composition
from pipeline.declaration.checks import check
from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import SECTIONS, load
from pipeline.declaration.digests import digest
from pipeline.errors import ConfigError, closest, exit_on_mistake

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
DECLARED: dict[str, dict[str, str]] = yaml.safe_load((ROOT / "params.yaml").read_text())["experiments"]
GROUPS = {
    folder.name: [f"{folder.name}={path.stem}" for path in sorted(folder.glob("*.yaml"))]
    for folder in sorted(CONF.iterdir())
    if folder.is_dir()
}
FITTED = ("data", "task", "model")
BOUND = [option for group in FITTED for option in GROUPS[group]]
# The others are taken together: the first of each group, then the second, until every one has been taken.
FREE = [
    [option for option in together if option]
    for together in zip_longest(*(GROUPS[key] for key in GROUPS if key not in (*FITTED, "experiment")))
]
# Colours, which some steps need; larger than what the network sees, where crops are taken of test images.
COLOUR, LARGER = ["data.shape=[3,32,32]"], ["data.shape=[3,40,40]", "input_shape=[3,32,32]"]
HEAVY = {"torch", "pytorch_lightning", "mlflow", "albumentations", "torchmetrics", "matplotlib", "sklearn"}


def run_compose(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.compose", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def cpu_seconds() -> float:
    """Return what all commands have used so far, whoever else used the machine meanwhile."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def refusal_of(*overrides: str) -> str:
    with pytest.raises(ConfigError) as told:
        compose(overrides)
    return str(told.value)


# What composes.


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_composes_with_the_overrides_declared_for_it(name: str) -> None:
    overrides = DECLARED.get(name, {"overrides": ""})["overrides"]
    config = compose([f"experiment={name}", *overrides.split()])
    assert config["name"] == name
    assert config.keys() == {*SECTIONS, "digest"}


@pytest.mark.parametrize("option", BOUND)
def test_data_task_and_network_compose_with_one_of_the_experiments(option: str) -> None:
    """A network or a task fits some data only: it must fit those of one experiment at least, if need be enlarged."""
    refusals = []
    for name, *enlarged in [
        (name, *more) for more in ((), ("data.shape=[3,96,96]",)) for name in EXPERIMENTS
    ]:
        try:
            config = compose([f"experiment={name}", option, *enlarged])
        except ConfigError as refusal:
            refusals.append(f"{name}: {refusal}")
        else:
            assert config.keys() == {*SECTIONS, "digest"}
            return
    pytest.fail("\n".join(refusals))


@pytest.mark.parametrize("options", FREE, ids=" ".join)
def test_other_options_compose_with_anything(options: list[str]) -> None:
    config = compose([*options, *(LARGER if "views=ten_crop" in options else COLOUR)])
    assert config.keys() == {*SECTIONS, "digest"}


def test_every_group_is_a_section_or_belongs_to_hydra() -> None:
    assert GROUPS.keys() <= {*SECTIONS, "experiment", "hydra"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_written_declaration_is_resolved_and_each_section_has_its_digest(name: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"{name}.yaml"
    done = run_compose(str(path), f"experiment={name}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "${" not in path.read_text()
    assert "???" not in path.read_text()
    config = load(path)
    assert config.keys() == {*SECTIONS, "digest"}
    options = config["digest"].pop("options", None)
    assert (options is None) == (not config["search"]["space"])
    assert config["digest"] == {section: digest(config[section]) for section in SECTIONS}
    check({section: config[section] for section in SECTIONS})
    assert list(path.parent.iterdir()) == [path]


def test_key_named_size_changes_the_digest_of_its_section_and_nothing_else() -> None:
    """DVC's run cache ignores nested keys named `size`: the digest tells it (DVC issue 10296)."""

    def crop(size: int) -> dict[str, Any]:
        step = f"{{_target_: albumentations.RandomResizedCrop, size: [{size}, {size}], p: 1.0}}"
        return compose([f"augmentation.steps=[{step}]"])

    small, large = crop(24), crop(32)
    changed_sections = {key for key in SECTIONS if small[key] != large[key]}
    changed_digests = {key for key in SECTIONS if small["digest"][key] != large["digest"][key]}
    assert changed_sections == changed_digests == {"augmentation"}
    assert crop(24) == small


def test_facts_are_interpolated() -> None:
    config = compose(["experiment=brain_unet", "trainer.max_epochs=7"])
    assert config["tracking"]["experiment"] == config["data"]["name"] == "brain"
    assert config["scheduler"]["T_max"] == 7
    assert compose(["model=lenet5", "data=digits"])["name"] == "digits_lenet5"


def test_prefix_of_the_user_is_accepted() -> None:
    override = "++optimizer._target_=mylab.optim.Lion"
    assert "'mylab.optim.Lion' is not allowed" in refusal_of(override)
    config = compose([override, "allowed_targets=[mylab.]"])
    assert config["optimizer"]["_target_"] == "mylab.optim.Lion"


# What does not: mistakes on the command line, as Hydra finds them.

OVERRIDES = [
    ("optimizer.lrr=0.1", "optimizer.lrr: unknown key 'lrr'; did you mean 'lr'? allowed: _target_, lr, "),
    ("+optimizer.lrr=0.1", "optimizer.lrr: torch.optim.SGD has no such option; did you mean 'lr'? allowed: "),
    (
        "trainer.max_epoch=3",
        "trainer.max_epoch: unknown key 'max_epoch'; did you mean 'max_epochs'? allowed: ",
    ),
    ("+data.colour=red", "data.colour: pipeline.data.facts.Facts has no such option; "),
    ("seeed=3", "seeed: unknown key 'seeed'; did you mean 'seed'? allowed: allowed_targets, "),
    ("+extra=3", "extra: unknown section; "),
    ("model=lenet6", "model=lenet6: no such option; did you mean 'lenet5'? allowed: alexnet, "),
    ("experiment=nope", "experiment=nope: no such option; allowed: "),
    ("modle=lenet5", "modle: unknown key 'modle'; did you mean 'model'? allowed: "),
    ("model@net=unet", "model@net: unknown key or group; did you mean 'model'? allowed: allowed_targets, "),
    (
        "model=null",
        "Config group override must be a string or a list. Got NoneType; choose an option by its file's",
    ),
    ("~task", "task: the section is missing; conf/config.yaml composes it"),
    ("~optimizer._target_", "optimizer._target_ is missing; name the class to build"),
    ("name=???", "name has no value; give it one"),
    ("name=${data.nmae}", "name: Interpolation key 'data.nmae' not found; correct its value"),
    ("optimizer.lr", "Error parsing override 'optimizer.lr' missing EQUAL at "),
    ("model=lenet5,unet", "Ambiguous value for argument 'model=lenet5,unet' "),
]


@pytest.mark.parametrize(("override", "message"), OVERRIDES)
def test_mistake_on_the_command_line_is_told_in_one_sentence(override: str, message: str) -> None:
    said = refusal_of(override)
    assert said.startswith(message)
    assert "\n" not in said


FILES = [
    (
        "trainer: {max_epoch: 3}",
        "trainer.max_epoch: pipeline.runs.settings.TrainerSettings has no such option; ",
    ),
    (
        "defaults: [{override /model: lenet6}]",
        "model=lenet6: no such option; did you mean 'lenet5'? allowed: ",
    ),
    ("defaults: [{override /modle: lenet5}]", "modle: unknown key or group; did you mean 'model'? allowed: "),
    ("optimizer: 3", "optimizer must be a mapping of keys, got 3"),
    ("name: [1", 'while parsing a flow sequence in "{file}", line 2, column 7 '),
    (
        "seed: 1\nseed: 2",
        'while constructing a mapping in "{file}", line 2, column 1 found duplicate key seed ',
    ),
]


@pytest.mark.parametrize(("text", "message"), FILES)
def test_mistake_in_a_file_is_told_in_one_sentence(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    file = tmp_path / "conf" / "experiment" / "bad.yaml"
    file.write_text(f"# @package _global_\n{text}\n")
    monkeypatch.setattr(composition, "CONF", tmp_path / "conf")
    said = refusal_of("experiment=bad")
    assert said.startswith(message.format(file=file))
    assert "\n" not in said


def test_error_that_is_no_mistake_of_the_user_keeps_its_own_type() -> None:
    with pytest.raises(ValueError, match=r"^ours$") as told, composition.explained():
        raise ValueError("ours")
    assert not isinstance(told.value, ConfigError)


def test_declaration_that_is_not_there_is_named_with_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.yaml does not exist; `dvc repro compose` writes it"):
        load(tmp_path / "nothing.yaml")


# The command.


def test_mistake_ends_the_command_soon_with_one_line_and_leaves_the_files_alone(tmp_path: Path) -> None:
    new, old = tmp_path / "new" / "bad.yaml", tmp_path / "old.yaml"
    old.write_text("old")
    seconds = []
    for path in (new, old):
        start = cpu_seconds()
        done = run_compose(str(path), "experiment=digits_lenet5", "data.shape=[1,8,8]")
        seconds.append(cpu_seconds() - start)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"error: model\.layers\[2\]: .* does not fit .*\n", done.stderr)
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_text() == "old"
    assert min(seconds) < 2, seconds


@pytest.mark.parametrize("arguments", [[], ["experiment=digits_lenet5"], ["digits.yml"]])
def test_command_without_a_file_to_write_says_how_it_is_used(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["compose", *arguments])
    usage = "usage: python -m pipeline.compose <file to write>.yaml experiment=<name> [overrides]"
    with pytest.raises(ConfigError, match=f"^{re.escape(usage)}$"):
        command()


def test_error_of_ours_keeps_its_traceback() -> None:
    def fail() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match=r"^ours$"):
        exit_on_mistake(fail)


@pytest.mark.parametrize(
    ("name", "names", "said"),
    [
        ("lenet", ["unet", "lenet5"], "did you mean 'lenet5'? allowed: lenet5, unet"),
        ("vgg", ["unet", "lenet5", "unet"], "allowed: lenet5, unet"),
        (3, [], "allowed: nothing"),
    ],
)
def test_closest_name_comes_first_then_all_in_order(name: object, names: list[str], said: str) -> None:
    assert closest(name, names) == said


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from pipeline.composition import compose; "
        "[compose([f'experiment={name}']) for name in sys.argv[1:]]; print(' '.join(sys.modules))"
    )
    command = [sys.executable, "-c", code, *EXPERIMENTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "hydra" in loaded
    assert loaded & HEAVY == set()
