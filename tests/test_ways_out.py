"""Mistakes that new users made: each ends in one sentence that names what to write instead."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.declaration import composition
from pipeline.declaration.composition import compose, compose_sections
from tests.refusals import refused

COMPLETE = {
    "name": "mine",
    "format": "class_folders",
    "root": "pics",
    "shape": "[1, 32, 32]",
    "classes": "[a, b]",
}


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of data sets of a copy of conf/."""
    copied = tmp_path / "conf"
    subprocess.run(["cp", "-r", composition.CONF, copied], check=True)
    monkeypatch.setattr(composition, "CONF", copied)
    return copied / "data"


@pytest.mark.parametrize("key", ["shape", "name"])
def test_file_of_a_data_set_that_lacks_a_fact_is_refused_with_the_command_that_writes_one(
    key: str, conf: Path
) -> None:
    (conf / "mine.yaml").write_text("".join(f"{k}: {v}\n" for k, v in COMPLETE.items() if k != key))
    text = (
        f"data.{key}: is missing; add `{key}: ...` to the file chosen from conf/data; `python -m pipeline.inspect "
        "<folder>` writes such a file"
    )
    with refused(f"data.{key}", text=text):
        compose_sections(["data=mine"])


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("trainer.early_stopping=5", "this is int; write {patience: 10, min_delta: 0.0}, or null"),
        ("data.fold=5", "this is int; write {index: 0, of: 5}, or null"),
        ("data.split=0.2", "this is float; write {val: 0.15, test: 0.15, seed: 0}, or folders"),
        ("data.mask_values=255", 'write {0: other, 255: cell} or {"#ff0000": car}, or null'),
    ],
)
def test_setting_that_is_a_mapping_is_refused_with_its_keys(override: str, hint: str) -> None:
    with refused(override.partition("=")[0], hint=hint):
        compose([override])


def test_sides_that_a_network_does_not_divide_are_refused_with_the_nearest_that_it_does() -> None:
    overrides = ["data=brain", "task=segmentation", "model=unet"]
    with refused("model.layers[1].skip[2].skip[2].skip[2]", hint="; the nearest to 100x90 are 96x96"):
        compose([*overrides, "data.shape=[3,100,90]"])
    compose([*overrides, "data.shape=[3,96,96]"])


def test_value_with_an_equals_sign_is_refused_with_its_quotes() -> None:
    with refused(
        "from",
        got="epoch=9.ckpt",
        hint="if it is text, write 'from=\"epoch=9.ckpt\"' with both kinds of quotes",
    ):
        compose(["from=epoch=9.ckpt"])


@pytest.mark.parametrize("command", ["preview", "inspect", "predict", "check"])
def test_help_of_a_command_is_its_docstring(command: str) -> None:
    typed = [sys.executable, "-m", f"pipeline.{command}", "--help"]
    done = subprocess.run(typed, capture_output=True, text=True, check=True)
    assert f"python -m pipeline.{command} " in done.stdout
    assert done.stderr == ""
