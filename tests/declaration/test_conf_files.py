"""The files of conf/ choose among each other; Hydra's own section comes from conf/hydra and the command line alone."""

import shutil
import sys
from pathlib import Path

import pytest

from pipeline import train
from pipeline.declaration import composition
from pipeline.declaration.composition import CONF, compose
from pipeline.declaration.conf_files import check_files
from tests.refusals import refused

GLOBAL = "# @package _global_\n"
OPTIONS = "the name of a file in conf/, such as model=lenet5"


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    shutil.copytree(CONF, tmp_path / "conf")
    return tmp_path / "conf"


HARMLESS = [
    "defaults: [override /hydra/sweeper: search, _self_]",
    "defaults: [override /hydra/launcher: joblib, _self_]",
    "defaults: [{override /model@model.encoder: resnet18}, digits_lenet5, {optional /data: digits}, _self_]",
    "defaults:\n  - /model: [lenet5, unet]\n  - optional sub/other: null\n",
    "name: hydra",
    "model: {hydra: 3}",  # refused later, as an unknown key of model
]


@pytest.mark.parametrize("text", HARMLESS)
def test_file_that_chooses_among_the_options_passes(text: str, conf: Path) -> None:
    (conf / "experiment" / "fine.yaml").write_text(GLOBAL + text)
    check_files(conf)


SETTING = [
    "hydra: {job: {env_set: {PATH: /tmp}}}",
    "hydra: {callbacks: {evil: {_target_: subprocess.Popen, args: [true]}}}",
    "hydra:\n  job_logging: {handlers: {file: {class: logging.FileHandler, filename: /tmp/canary}}}",
    "hydra: {searchpath: ['file:///tmp']}",
    "hydra: null",
    '"hy\\x64ra": {job: {chdir: true}}',
    "? !!str hydra\n: {mode: MULTIRUN}",
    "name: &key hydra\n*key : {mode: MULTIRUN}",
    "defaults: [/hydra/callbacks: evil]",
    "defaults: [override /hydra/job_logging: disabled]",
    "defaults: [hydra/job_logging: disabled]",
    "defaults: [hydra: evil]",
    "defaults: [/hydra/default]",
    "defaults: [/data@hydra.job: digits]",
    "defaults: [/data@_global_.hydra: digits]",
    "defaults: [/data@_name_: hydra]",
    '"def\\x61ults": [{"/hydra/help": x}]',
]


@pytest.mark.parametrize("text", SETTING)
def test_file_that_sets_hydras_section_is_named(text: str, conf: Path) -> None:
    file = conf / "experiment" / "evil.yaml"
    file.write_text(GLOBAL + text)
    with refused(str(file), hint="set hydra.<key> on the command line or in conf/hydra/, or remove it"):
        check_files(conf)


@pytest.mark.parametrize("package", ["hydra", "_global_.hydra.job", "_name_", " hydra ", "model.hydra"])
def test_package_that_is_hydras_is_named(package: str, conf: Path) -> None:
    file = conf / "model" / "hydra.yaml"
    file.write_text(f"\n# @package {package}\nmode: MULTIRUN\n")
    with refused(str(file), got=f"@package {package.strip()}"):
        check_files(conf)


OUTSIDE = [
    "../../tmp/x",
    "/../x",
    "//tmp/x",
    "file:///tmp/x",
    "pkg://os",
    "a:b",
    "${oc.env:HOME}",
    "..",
    "",
    3,
    {},
]


@pytest.mark.parametrize("option", OUTSIDE)
def test_file_that_pulls_in_files_from_elsewhere_is_named(option: object, conf: Path) -> None:
    file = conf / "experiment" / "evil.yaml"
    file.write_text(f"{GLOBAL}defaults: [{{/model: {option!r}}}]\n")
    with refused(f"{file}: defaults./model", got=option, allowed=OPTIONS):
        check_files(conf)


def test_group_outside_conf_is_named(conf: Path) -> None:
    file = conf / "experiment" / "evil.yaml"
    file.write_text(f"{GLOBAL}defaults: [{{/../../tmp: x}}]\n")
    with refused(
        f"{file}: defaults", got="/../../tmp", allowed="made of groups of conf/, such as override /model"
    ):
        check_files(conf)


def test_file_behind_a_link_to_a_folder_is_checked(conf: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "evil.yaml").write_text(f"{GLOBAL}hydra: {{mode: MULTIRUN}}")
    (conf / "experiment" / "linked").symlink_to(tmp_path / "elsewhere")
    with refused(str(conf / "experiment" / "linked" / "evil.yaml")):
        check_files(conf)


def test_file_that_is_not_utf8_is_named(conf: Path) -> None:
    (conf / "experiment" / "latin.yaml").write_bytes("name: é".encode("latin-1"))
    with refused(str(conf / "experiment" / "latin.yaml"), hint="save it as UTF-8"):
        check_files(conf)


def test_sentence_about_hydras_section(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = conf / "experiment" / "evil.yaml"
    file.write_text(f"{GLOBAL}hydra: {{mode: MULTIRUN}}")
    text = (
        f"{file}: changes Hydra's own section, which loggers and callbacks run from; only the choice of a sweeper and "
        "a launcher may stand here, got {'mode': 'MULTIRUN'}; set hydra.<key> on the command line or in conf/hydra/, "
        "or remove it"
    )
    monkeypatch.setattr(composition, "CONF", conf)
    with refused(str(file), text=text):
        compose(["experiment=evil"])
    monkeypatch.setattr(train, "CONF", conf)
    monkeypatch.setattr(sys, "argv", ["train", "experiment=evil"])
    monkeypatch.setattr(train, "main_hydra", lambda: pytest.fail("Hydra has started"))
    with refused(str(file)):
        train.main()


@pytest.mark.parametrize(
    "argument",
    ["--config-dir=/tmp", "--config-d", "-cd", "--config-path", "-cn", "--experimental-rerun=x",
     "hydra.searchpath=[file:///tmp]", "+hydra.searchpath=[pkg://os]"],
)  # fmt: skip
def test_declarations_from_elsewhere_than_conf_are_refused(
    argument: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train", argument, "seed=1"])
    monkeypatch.setattr(train, "main_hydra", lambda: pytest.fail("Hydra has started"))
    with refused("python -m pipeline.train", hint="put the file into conf/, where it is checked"):
        train.main()


# Overrides, which a search or a params file may have written.


@pytest.mark.parametrize("option", ["../../tmp/x", "/../x", "'file:///tmp/x'", "[lenet5,../x]"])
def test_override_that_chooses_a_file_elsewhere_is_refused(option: str) -> None:
    with refused("model", allowed=OPTIONS):
        compose([f"model={option}"])


@pytest.mark.parametrize(
    "override",
    ["hydra.job.chdir=true", "+hydra.job.env_set.PATH=/tmp", "hydra/job_logging=none", "model@hydra.job=lenet5"],
)  # fmt: skip
def test_override_of_hydra_is_no_part_of_a_declaration(override: str) -> None:
    text = (
        f"{override}: is a setting of Hydra, not of a declaration; only `python -m pipeline.train` takes it, on its "
        "command line"
    )
    with refused(override, text=text):
        compose([override])


LOOK_UPS = {
    "${oc.env:HOME}": "oc.env",
    "a ${oc.env:HOME,x}": "oc.env",
    "${oc.${data.format}:HOME}": None,
    "${oc.decode:'${seed}'}": "oc.decode",
    "${oc.create:{}}": "oc.create",
    "${oc.deprecated:seed}": "oc.deprecated",
    "${now:%Y}": "now",
    "${hydra:runtime.cwd}": "hydra",
    "${python_version:}": "python_version",
    "${oc.select:tracking.experiment,'${oc.env:HOME}'}": "oc.env",
}


@pytest.mark.parametrize(("value", "resolver"), LOOK_UPS.items())
def test_interpolation_that_looks_up_more_than_the_config_is_refused(
    value: str, resolver: str | None, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "a secret")
    (conf / "experiment" / "evil.yaml").write_text(f'{GLOBAL}data: {{licence: "{value}", format: env}}\n')
    monkeypatch.setattr(composition, "CONF", conf)
    resolver = resolver or "oc.env"
    text = (
        f"data.licence: looks up more than this declaration by ${{{resolver}: ...}}; write the value; allowed are "
        "${<key>} and oc.select, oc.dict.keys, oc.dict.values"
    )
    with refused("data.licence", text=text):
        compose(["experiment=evil"])
