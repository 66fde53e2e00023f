"""Settings and files that would take hours or all memory are refused at once, before data are read."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration import composition
from pipeline.declaration.checks import check
from pipeline.declaration.composition import compose
from pipeline.declaration.loading import load
from pipeline.declaration.network import check_memory, plan_network
from pipeline.files import read_yaml
from pipeline.plugins.hydra_plugins.grid_sweeper import list_jobs
from pipeline.sweeps.dimensions import Choice, Entry, Interval
from pipeline.sweeps.samplers import make_sampler
from pipeline.trials.space import parse_space
from tests.refusals import refused

LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)
SELF = "name: &name [*name]\n"
TOO_MANY = "its aliases (*) make more than 20,000 values of it; write the values out"


@pytest.mark.parametrize("text", [LAUGHS, SELF], ids=["laughs", "self"])
def test_aliases_that_multiply_are_refused(text: str) -> None:
    with refused("YAML", text=f"YAML: {TOO_MANY}"):
        read_yaml(text)


def test_aliases_of_usual_size_are_read() -> None:
    text = "a: &a {b: 1}\nc: [*a, *a]\nd: {<<: *a}\n"
    assert read_yaml(text) == {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}], "d": {"b": 1}}


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that stands for conf/."""
    folder = tmp_path / "conf"
    folder.mkdir()
    monkeypatch.setattr(composition, "CONF", folder)
    return folder


def test_file_of_conf_whose_aliases_multiply_is_refused_before_hydra_reads_it(conf: Path) -> None:
    file = conf / "config.yaml"
    file.write_text(LAUGHS)
    with refused(str(file), text=f"{file}: {TOO_MANY}"):
        compose([])


def test_file_of_conf_that_is_too_large_is_refused(conf: Path) -> None:
    file = conf / "config.yaml"
    file.write_text("a: 1\n" * 200_001)
    with refused(str(file), text=f"{file} must be at most 1000000 bytes of YAML, got 1000005"):
        compose([])


def test_resolved_file_whose_aliases_multiply_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(LAUGHS)
    with refused(str(file), hint="write the values out"):
        load(file)


SETTINGS: list[tuple[list[str], str, dict[str, Any]]] = [
    # overrides                                          where                  fields of the error
    (["search.trials=1000000000"], "search.trials", {"got": 10**9, "allowed": "from 1 to 100000"}),
    (["search.seeds=1000000000"], "search.seeds", {"got": 10**9, "allowed": "from 1 to 1000"}),
    (["search.folds=1000000000"], "search.folds", {"got": 10**9, "allowed": "from 1 to 1000"}),
    (["search.seeds=1000", "search.folds=1000"], "search.seeds", {"got": 1000, "hint": "lower search.seeds"}),
    (["search.parallel=1000000000"], "search.parallel", {"got": 10**9, "allowed": "from 1 to 1000"}),
    (["search.retries=1000000000"], "search.retries", {"got": 10**9, "allowed": "from 0 to 1000"}),
    (["search.warmup=1000000000"], "search.warmup", {"got": 10**9, "allowed": "from 1 to 1000000"}),
    (["search.rounds=1000000000"], "search.rounds", {"got": 10**9, "allowed": "at most search.trials=1"}),
    (["data.shape=[1,1000000,1000000]"], "data.shape", {"hint": "choose a smaller shape, or raise data.max_pixels"}),
    (["augmentation.steps=[{_target_: albumentations.Resize, height: 100000, width: 100000}]"],
     "augmentation.steps[0].height", {"got": 100_000}),
    (["augmentation.steps=[{_target_: albumentations.OneOf, transforms: [{_target_: albumentations.Resize, "
      "height: 8, width: 100000}]}]"], "augmentation.steps[0].transforms[0].width", {"got": 100_000}),
    (["data.max_pixels=0"], "data.max_pixels", {"got": 0, "allowed": "at least 1"}),
    (["data.max_file_bytes=0"], "data.max_file_bytes", {"got": 0, "allowed": "at least 1"}),
    (["data.root=''"], "data.root", {"got": "", "allowed": "the path of a folder or a zip file"}),
    (["model=mlp", "model.width=100", "data.shape=[1,9000,9000]"], "model", {"hint": "make model.width, its layers"}),
    (["model.layers=[{conv: 16, repeat: 1000000000}]"], "model.layers[0]", {"hint": "repeat fewer of them"}),
    (["model=vgg16", "data.shape=[3,9000,9000]"], "model", {"hint": "make model.width, its layers"}),
]  # fmt: skip


@pytest.mark.parametrize(("overrides", "path", "fields"), SETTINGS, ids=lambda value: str(value)[:60])
def test_setting_that_would_take_all_memory_is_refused(
    overrides: list[str], path: str, fields: dict[str, Any]
) -> None:
    with refused(path, **fields):
        compose(overrides)


def test_refusal_of_a_huge_network_names_its_numbers() -> None:
    sections = compose(["model=lenet5"]).sections
    head = ["flatten", {"linear": 10**10}, {"linear": "outputs"}]
    model = {**sections["model"], "name": "wide", "layers": [], "head": head}
    count = 1024 * 10**10 + 10**10 + 10**10 * 10 + 10
    text = (
        f"model: wide has {count:,} weights, more than 10,000,000,000; make model.width, its layers or input_shape "
        "smaller"
    )
    with refused("model", text=text):
        check({**sections, "model": model})


def test_network_that_does_not_fit_this_machine_is_refused_before_data_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = plan_network(compose(["model=lenet5"]))
    check_memory(network)
    needed = 4 * (2 * network.weights + network.activations)
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": needed - 1}[name])
    text = (
        f"model: lenet5 needs at least {needed:,} bytes of memory to train, this machine has {needed - 1:,}; make "
        "model.width, its layers or input_shape smaller, or use another machine"
    )
    with refused("model", text=text):
        check_memory(network)


@pytest.mark.parametrize("draw", ["range(1, 1000000000)", "range(0, 1, 1.0e-9)", "range(1, 9, 0)"])
def test_range_that_cannot_be_listed_is_refused(draw: str) -> None:
    with refused("search.space.seed", hint="choose a larger step, or an interval"):
        parse_space({"seed": draw})
    with refused("seed", hint="choose a larger step, or an interval"):
        list_jobs([f"seed={draw}"])


def test_sweep_of_too_many_jobs_is_refused() -> None:
    text = "overrides: they make 90,000 jobs, more than 10,000; sweep fewer values"
    with refused("overrides", text=text):
        list_jobs(["seed=range(0, 9000)", "model.width=range(1,11)"])


def test_grid_of_too_many_points_is_refused() -> None:
    entries = [
        Entry("a", Interval(1, 10**9, is_integer=True), None),
        Entry("b", Choice((1, 2)), None),
    ]
    text = (
        "search.space: a grid lists every combination of values, and there are 2,000,000,000, got ['a', 'b']; remove "
        "some (at most 100,000), or use search.sampler=random"
    )
    with refused("search.space", text=text):
        make_sampler("grid", entries, seed=0)
