"""Mistakes on the command line and in the files of conf/, as Hydra finds them: each told in one sentence."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration import composition
from pipeline.declaration.composition import CONF, compose
from pipeline.declaration.declaration import SECTIONS
from pipeline.declaration.loading import load
from pipeline.errors import ConfigError
from tests.refusals import OF_SGD, refused

EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
GROUPS = [path.name for path in CONF.iterdir() if path.is_dir() and path.name != "facts"]
MODELS = [path.stem for path in (CONF / "model").glob("*.yaml")]
# The override, where it is refused, and the fields of the refusal; once per message its whole wording.
OVERRIDES: list[tuple[str, str, dict[str, Any]]] = [
    ("optimizer.lrr=0.1", "optimizer.lrr",
     {"got": "lrr", "text": "optimizer.lrr: unknown key 'lrr'; did you mean 'lr'? "
                            "allowed: _target_, decay_norms_and_biases, lr, momentum, nesterov, weight_decay"}),
    ("+optimizer.lrr=0.1", "optimizer.lrr", {"got": "lrr", "allowed": OF_SGD, "hint": "did you mean 'lr'? "}),
    ("trainer.max_epoch=3", "trainer.max_epoch", {"got": "max_epoch", "hint": "did you mean 'max_epochs'? "}),
    ("+data.colour=red", "data.colour", {"got": "colour", "hint": "allowed: allow_duplicates, background, classes, "}),
    ("seeed=3", "seeed", {"got": "seeed", "allowed": {*SECTIONS, "hydra"}, "hint": "did you mean 'seed'? "}),
    ("+extra=3", "extra", {"got": "extra", "allowed": SECTIONS}),
    ("model=lenet6", "model", {"got": "lenet6", "allowed": MODELS, "hint": "did you mean 'lenet5'? "}),
    ("experiment=nope", "experiment",
     {"allowed": EXPERIMENTS, "text": f"experiment: unknown option 'nope'; allowed: {', '.join(EXPERIMENTS)}"}),
    ("facts=other", "facts", {"got": "facts", "allowed": {*SECTIONS, *GROUPS}}),
    ("modle=lenet5", "modle", {"got": "modle", "hint": "did you mean 'model'? "}),
    ("model@net=unet", "model@net",
     {"got": "model@net", "allowed": {*SECTIONS, *GROUPS}, "hint": "did you mean 'model'? "}),
    ("model@model.encoder=resnet18", "model@model.encoder",
     {"text": "model@model.encoder: the chosen model has no such place; only model=unet_on has an encoder"}),
    ("model@model.classifier=lenet5", "model@model.classifier",
     {"hint": "only model=fully_convolutional has a classifier"}),
    ("model=null", "overrides",
     {"text": "overrides: Config group override must be a string or a list. Got NoneType; choose an option by the "
              "name of its file, such as model=lenet5"}),
    ("~task", "task", {"hint": "conf/config.yaml composes it"}),
    ("~optimizer._target_", "optimizer._target_", {"hint": "name the class to build"}),
    ("name=???", "name", {"text": "name: has no value; give it one"}),
    ("name=${data.nmae}", "name", {"text": "name: Interpolation key 'data.nmae' not found; correct its value"}),
    ("optimizer.lr", "overrides",
     {"text": "overrides: is not of the form key=value, got 'optimizer.lr'; add = and the value"}),
    ("model=lenet5,unet", "overrides", {"hint": "write key=value, as Hydra reads it"}),
    ("experiment=한국", "experiment",
     {"text": "experiment: '한' must be within quotes on the command line, got '한국'; if it is text, "
              "write 'experiment=\"한국\"' with both kinds of quotes"}),
    ('experiment="한국"', "experiment", {"got": "한국", "allowed": EXPERIMENTS}),
    ("data.classes=[é,ß]", "data.classes", {"got": "[é,ß]", "hint": "with both kinds of quotes"}),
    ("name=a#b", "name", {"got": "a#b", "hint": "write 'name=\"a#b\"'"}),
    ("name=a\nb", "name", {"got": "a b"}),
    ("name='a", "name", {"text": "name: has a quote that is not closed, got \"'a\"; add the other quote"}),
    ("name=[a", "name",
     {"text": "name: its value cannot be read (no viable alternative at input '[a'), got '[a'; if it is text, "
              "write 'name=\"[a\"' with both kinds of quotes"}),
    ("name=a=b", "name", {"got": "a=b", "hint": "write 'name=\"a=b\"'"}),
    ("name=int(x)", "name", {"got": "int(x)"}),
    ("model.layers[0]=3", "model.layers[0]",
     {"text": "model.layers[0]: '[' cannot be part of a key, got 'model.layers[0]=3'; a key is made of names and dots, "
              "such as optimizer.lr or augmentation.steps.0.p"}),
    ("a" * 3000 + "=1", "overrides",
     {"text": "overrides: a key or option is too long to be the name of a file; shorten it"}),
    ("data.classes=" + "[" * 400 + "]" * 400, "overrides",
     {"text": "overrides: a value is nested too deep; write it with fewer levels"}),
]  # fmt: skip


@pytest.mark.parametrize(("override", "path", "fields"), OVERRIDES)
def test_mistake_on_the_command_line_is_told_in_one_sentence(
    override: str, path: str, fields: dict[str, Any]
) -> None:
    with refused(path, **fields) as caught:
        compose([override])
    assert "\n" not in str(caught.value)


BROKEN = (
    "{file}: is not valid YAML: while parsing a flow sequence in \"{file}\", line 2, column 7 expected ',' or ']', "
    "but got '<stream end>' in \"{file}\", line 3, column 1; correct the file"
)
FILES: list[tuple[str, str, dict[str, Any]]] = [
    (
        "trainer: {max_epoch: 3}",
        "trainer.max_epoch",
        {"got": "max_epoch", "hint": "did you mean 'max_epochs'? "},
    ),
    ("defaults: [{override /model: lenet6}]", "model", {"got": "lenet6", "hint": "did you mean 'lenet5'? "}),
    ("defaults: [{override /modle: lenet5}]", "modle", {"got": "modle", "hint": "did you mean 'model'? "}),
    ("optimizer: 3", "optimizer", {"got": 3, "allowed": "a mapping of keys"}),
    ("name: [1", "{file}", {"text": BROKEN}),
    ("seed: 1\nseed: 2", "{file}", {"hint": "correct the file"}),
    (
        "data: {classes: &x [1, *x]}",
        "{file}",
        {"hint": "write the values out"},
    ),
    (
        f"data: {{classes: {'[' * 500}{']' * 500}}}",
        "{file}",
        {"text": "{file}: is nested too deep, got 502; write it with fewer levels"},
    ),
]


@pytest.mark.parametrize(("text", "path", "fields"), FILES)
def test_mistake_in_a_file_is_told_in_one_sentence(
    text: str, path: str, fields: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    file = tmp_path / "conf" / "experiment" / "bad.yaml"
    file.write_text(f"# @package _global_\n{text}\n")
    monkeypatch.setattr(composition, "CONF", tmp_path / "conf")
    if "text" in fields:
        fields = fields | {"text": fields["text"].replace("{file}", str(file))}
    with refused(path.replace("{file}", str(file)), **fields) as caught:
        compose(["experiment=bad"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [ValueError, OSError, RecursionError, KeyError])
def test_error_that_is_no_mistake_of_the_user_keeps_its_own_type(kind: type[Exception]) -> None:
    error = kind("ours")
    with pytest.raises(kind, match="ours") as told, composition.explained():
        raise error
    assert told.value is error


def test_declaration_that_is_not_there_is_named_with_the_command_that_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "nothing.yaml"
    with refused(str(path), text=f"{path}: does not exist; `dvc repro compose` writes it"):
        load(path)


@pytest.mark.parametrize("text", ["seed: 1\n", "[1, 2]\n", "seed: [1\n", ""], ids=str)
def test_file_that_holds_no_declaration_is_named_with_the_command_that_writes_one(
    text: str, tmp_path: Path
) -> None:
    path = tmp_path / "other.yaml"
    path.write_text(text)
    hint = "`python -m pipeline.compose` writes one"
    with refused(str(path), text=f"{path}: is not a resolved declaration; {hint}"):
        load(path)


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("lenet", ["unet", "lenet5"], "did you mean 'lenet5'? allowed: lenet5, unet"),
        ("vgg", ["unet", "lenet5", "unet"], "allowed: lenet5, unet"),
        (3, [], "allowed: nothing"),
    ],
)
def test_closest_name_comes_first_then_all_in_order(name: object, names: list[str], hint: str) -> None:
    error = ConfigError.unknown("model", name, names, what="network")
    assert str(error) == f"model: unknown network '{name}'; {hint}"
    assert (error.path, error.got, error.hint) == ("model", name, hint)
    assert error.allowed == sorted(set(names))
