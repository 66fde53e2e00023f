"""The stage compose: every choice composes; a mistake ends the command soon, and writes nothing."""

import json
import re
import resource
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest
import yaml

from pipeline.compose import compose_experiments
from pipeline.compose import main as command
from pipeline.data.facts import without_neutral
from pipeline.declaration.checks import check
from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import HEADER, SECTIONS, Declaration
from pipeline.declaration.digests import digest
from pipeline.declaration.grants import VARIABLE
from pipeline.declaration.keys import stage_digests
from pipeline.declaration.loading import load
from pipeline.errors import ConfigError
from pipeline.files import yaml_text
from pipeline.runs.command import exit_on_mistake
from tests.refusals import refused
from tests.tasks.rows import COMPOSED

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
DECLARED: dict[str, dict[str, str]] = yaml.safe_load((ROOT / "params.yaml").read_text())["experiments"]
GROUPS = {
    folder.name: [f"{folder.name}={path.stem}" for path in sorted(folder.glob("*.yaml"))]
    for folder in sorted(CONF.iterdir())
    if folder.is_dir() and folder.name != "facts"  # defaults of `data`, which nobody chooses from
}
for parts in ("windows", "proposals"):  # for the evaluation of a trained run alone, see tests/training
    GROUPS["views"].remove(f"views={parts}")
FITTED = ("data", "task", "model")
BOUND = [option for group in FITTED for option in GROUPS[group] if option != "task=multilabel"]
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


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_composes_with_the_overrides_declared_for_it(name: str) -> None:
    overrides = DECLARED.get(name, {"overrides": ""})["overrides"]
    declaration = compose([f"experiment={name}", *overrides.split()])
    assert declaration.name == name
    assert declaration.sections.keys() == set(SECTIONS)


@pytest.mark.parametrize("option", BOUND)
def test_data_task_and_network_compose_with_one_of_the_experiments(option: str) -> None:
    """A network or a task fits some data only: it must fit those of one experiment at least, if need be enlarged."""
    refusals = []
    likely_first = sorted(EXPERIMENTS, key=lambda name: name != "digits_lenet5")  # which most networks fit
    for name, *enlarged in [
        (name, *more) for name in likely_first for more in ((), ("data.shape=[3,96,96]",))
    ]:
        try:
            declaration = compose([f"experiment={name}", option, *enlarged])
        except ConfigError as refusal:
            refusals.append(f"{name}: {refusal}")
        else:
            assert declaration.sections.keys() == set(SECTIONS)
            return
    pytest.fail("\n".join(refusals))


@pytest.mark.parametrize("task", sorted(COMPOSED))
def test_task_composes_with_its_kind_of_targets(task: str) -> None:
    assert compose(COMPOSED[task]).sections.keys() == set(SECTIONS)


@pytest.mark.parametrize("options", FREE, ids=" ".join)
def test_other_options_compose_with_anything(options: list[str]) -> None:
    declaration = compose([*options, *(LARGER if "views=ten_crop" in options else COLOUR)])
    assert declaration.sections.keys() == set(SECTIONS)


def test_every_group_is_a_section_or_belongs_to_hydra() -> None:
    assert GROUPS.keys() <= {*SECTIONS, "experiment", "hydra"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_written_declaration_is_resolved_and_its_digests_lie_beside_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / f"{name}.yaml"
    done = run_compose(str(path), f"experiment={name}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "${" not in path.read_text()
    assert "???" not in path.read_text()
    declaration = load(path)
    assert declaration == compose([f"experiment={name}"]) == check(declaration.sections)
    digests = json.loads(path.with_suffix(".json").read_text())
    code, options = digests.pop("code"), digests.pop("options")
    decisive = {**declaration.sections, "data": without_neutral(declaration.sections["data"])}
    assert digests == {section: digest(decisive[section]) for section in SECTIONS}
    assert code == stage_digests(declaration, root=ROOT)
    assert (options == digest({})) == (not declaration.search.space or name == "digits_search")
    assert {file.name for file in path.parent.iterdir()} == {f"{name}.yaml", f"{name}.json"}


def test_every_digest_that_a_stage_depends_on_is_written(tmp_path: Path) -> None:
    assert run_compose(str(tmp_path / "one.yaml")).returncode == 0
    digests = json.loads((tmp_path / "one.json").read_text())
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    wanted = {
        key
        for stage in stages.values()
        for params in stage.get("do", stage).get("params", [])
        if isinstance(params, dict)
        for keys in params.values()
        for key in keys
    }
    assert {"data", "code.prepare", "code.train", "views"} <= wanted
    for key in wanted:
        section, _, stage = key.partition(".")
        assert (digests[section][stage] if stage else digests[section]) is not None


def test_key_named_size_changes_the_digest_of_its_section_and_nothing_else() -> None:
    """DVC's run cache ignores nested keys named `size`: the digest tells it (DVC issue 10296)."""

    def crop(size: int) -> Declaration:
        step = f"{{_target_: albumentations.RandomResizedCrop, size: [{size}, {size}], p: 1.0}}"
        return compose([f"augmentation.steps=[{step}]"])

    small, large = crop(24), crop(32)
    changed_sections = {key for key in SECTIONS if small.sections[key] != large.sections[key]}
    changed_digests = {key for key in SECTIONS if small.digests()[key] != large.digests()[key]}
    assert changed_sections == changed_digests == {"augmentation"}
    assert crop(24) == small


def test_facts_are_interpolated() -> None:
    declaration = compose(["experiment=brain_unet", "trainer.max_epochs=7"])
    assert declaration.tracking.experiment == declaration.data.name == "brain"
    assert declaration.scheduler["T_max"] == 7
    assert compose(["model=lenet5", "data=digits"]).name == "digits_lenet5"


def test_prefix_that_the_owner_has_granted_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    override = "++optimizer._target_=mylab.optim.Lion"
    with refused("optimizer._target_", got="mylab.optim.Lion"):
        compose([override])
    with refused("allowed_targets", got="mylab."):
        compose([override, "allowed_targets=[mylab.]"])
    monkeypatch.setenv(VARIABLE, "yourlab.,mylab.")
    assert compose([override, "allowed_targets=[mylab.]"]).optimizer["_target_"] == "mylab.optim.Lion"
    with refused("optimizer._target_", got="mylab.optim.Lion"):
        compose([override])  # the declaration says which packages it builds from


# The command.


def test_mistake_ends_the_command_soon_with_one_line_and_leaves_the_files_alone(tmp_path: Path) -> None:
    new, old = tmp_path / "new" / "bad.yaml", tmp_path / "old.yaml"
    old.write_text(f"{HEADER}old")
    seconds = []
    for path in (new, old):
        start = cpu_seconds()
        done = run_compose(str(path), "experiment=digits_lenet5", "data.shape=[1,8,8]")
        seconds.append(cpu_seconds() - start)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"error: model\.layers\[2\]: .* does not fit .*\n", done.stderr)
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_text() == f"{HEADER}old"
    assert min(seconds) < 2, seconds


@pytest.mark.parametrize("arguments", [[], ["experiment=digits_lenet5"], ["digits.yml"]])
def test_command_without_a_file_to_write_says_how_it_is_used(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["compose", *arguments])
    text = (
        "python -m pipeline.compose: names neither params.yaml and a folder, nor a file to write, "
        f"got {arguments}; usage: python -m pipeline.compose <file to write>.yaml experiment=<name> [overrides]"
    )
    with refused("python -m pipeline.compose", got=arguments, text=text):
        command()


def test_error_of_ours_keeps_its_traceback() -> None:
    def fail() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match=r"^ours$"):
        exit_on_mistake(fail)


def params_file(folder: Path, experiments: dict[str, str]) -> Path:
    """Write a params file of experiments with their overrides; return its path."""
    declared = {name: {"data": "digits", "overrides": overrides} for name, overrides in experiments.items()}
    path = folder / "params.yaml"
    path.write_text(yaml_text({"experiments": declared}))
    return path


def test_every_experiment_of_a_params_file_is_written_and_no_other_is_left(tmp_path: Path) -> None:
    params = params_file(tmp_path, {"digits_lenet5": "optimizer.lr=0.02 seed=3", "digits_search": ""})
    out = tmp_path / "artifacts" / "compose"
    compose_experiments(params, out, root=tmp_path)
    written = {
        f"{name}.{suffix}" for name in ("digits_lenet5", "digits_search") for suffix in ("yaml", "json")
    }
    assert {path.name for path in out.iterdir()} == written
    assert load(out / "digits_lenet5.yaml") == compose(
        ["experiment=digits_lenet5", "optimizer.lr=0.02", "seed=3"]
    )
    before = (out / "digits_search.json").read_text()
    compose_experiments(params_file(tmp_path, {"digits_search": ""}), out, root=tmp_path)
    assert {path.name for path in out.iterdir()} == {"digits_search.yaml", "digits_search.json"}
    assert (out / "digits_search.json").read_text() == before


def test_params_file_with_one_mistake_writes_nothing(tmp_path: Path) -> None:
    params, out = params_file(tmp_path, {"digits_lenet5": "", "digits_search": "seed=-1"}), tmp_path / "out"
    with refused("seed", got=-1):
        compose_experiments(params, out, root=tmp_path)
    assert not out.exists()


def test_overrides_with_quotes_are_split_as_a_shell_does(tmp_path: Path) -> None:
    overrides = "model.name='my net' 'model.lr_factors=[1, 1, 1, 1, 1, 0.5]'"
    compose_experiments(params_file(tmp_path, {"digits_lenet5": overrides}), tmp_path / "out", root=tmp_path)
    model = load(tmp_path / "out" / "digits_lenet5.yaml").model
    assert (model["name"], model["lr_factors"]) == ("my net", [1, 1, 1, 1, 1, 0.5])


def test_command_writes_the_declarations_of_a_params_file_as_it_writes_single_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params_file(tmp_path, {"digits_search": "seed=3"})
    for arguments in (
        ["params.yaml", "all"],
        ["one/digits_search.yaml", "experiment=digits_search", "seed=3"],
    ):
        monkeypatch.setattr(sys, "argv", ["compose", *arguments])
        command()
    for file in (tmp_path / "all").iterdir():
        assert file.read_bytes() == (tmp_path / "one" / file.name).read_bytes()
    assert "options" in json.loads((tmp_path / "all" / "digits_search.json").read_text())


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from pipeline.declaration.composition import compose; "
        "[compose([f'experiment={name}']) for name in sys.argv[1:]]; print(' '.join(sys.modules))"
    )
    command = [sys.executable, "-c", code, *EXPERIMENTS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "hydra" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("damage", ["empty", "half", "zeroed tail", "deleted, as the error says"])
def test_damaged_declaration_is_composed_again(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params_file(tmp_path, {"digits_lenet5": ""})
    for arguments in (["params.yaml", "out"], ["out/digits_lenet5.yaml", "experiment=digits_lenet5"]):
        monkeypatch.setattr(sys, "argv", ["compose", *arguments])
        command()
        file = tmp_path / "out" / "digits_lenet5.yaml"
        whole = file.read_bytes()
        half = whole[: len(whole) // 2]
        if damage.startswith("deleted"):
            file.unlink()
        else:
            damaged = {"empty": b"", "half": half, "zeroed tail": half + bytes(len(whole) - len(half))}
            file.write_bytes(damaged[damage])
        command()
        assert file.read_bytes() == whole
