"""Which `_target_` a config may name, with which keys: every refusal with its path, value and way out."""

import ast
import re
import traceback
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration import targets
from pipeline.declaration.targets import check_section, check_targets
from pipeline.errors import ConfigError

SGD = {"_target_": "torch.optim.SGD", "lr": 0.1}
FLIP = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}


def check(section: Any, *, allowed: tuple[str, ...] = (), given: str = "params") -> None:
    check_targets(section, path="section", allowed=allowed, given=frozenset({given}))


ACCEPTED: list[Any] = [
    SGD,
    {"steps": [FLIP, {"more": FLIP}]},
    {},
    SGD | {"lr": 1},  # a whole number is a number
    {"_target_": "torch.optim.AdamW", "lr": 1.0e-3, "betas": [0.9, 0.999], "fused": None},
    {"_target_": "torch.optim.AdamW", "lr": 1.0e-3, "amsgrad": True},
    {"_target_": "albumentations.Affine", "rotate": [-10, 10], "scale": 1.1, "interpolation": 1},
    {"_target_": "albumentations.Affine", "scale": {"x": [0.9, 1.1], "y": 1.0}},
    {"_target_": "albumentations.OneOf", "transforms": [FLIP]},
    {"_target_": "torch.nn.CrossEntropyLoss", "weight": {"_target_": "torch.nn.Parameter"}},
    {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": [3, 3]},
    {"_target_": "torchmetrics.MeanMetric", "sync_on_compute": False},  # an open signature
    {"_target_": "pytorch_lightning.callbacks.EarlyStopping", "monitor": "val/loss", "mode": "min"},
]


@pytest.mark.parametrize("section", ACCEPTED, ids=str)
def test_right_declaration_is_accepted(section: Any) -> None:
    check(section)


ALLOWED = (
    "is not allowed; allowed are names below pipeline.tasks., pipeline.transforms., torch.nn., "
    "torch.optim., torchmetrics., albumentations., pytorch_lightning.callbacks. and what the list "
    "allowed_targets adds"
)
AFFINE = {"_target_": "albumentations.Affine"}
ADAMW = {"_target_": "torch.optim.AdamW"}

REFUSED: list[tuple[Any, str]] = [
    # What is no name below the prefixes, and what only looks like one.
    ({"_target_": "os.system"}, f"section._target_: 'os.system' {ALLOWED}"),
    ({"_target_": "torch.load"}, f"section._target_: 'torch.load' {ALLOWED}"),
    ({"_target_": "builtins.eval"}, f"section._target_: 'builtins.eval' {ALLOWED}"),
    ({"_target_": "subprocess.run"}, f"section._target_: 'subprocess.run' {ALLOWED}"),
    ({"_target_": "torch.nnn.Linear"}, f"section._target_: 'torch.nnn.Linear' {ALLOWED}"),
    ({"_target_": "pipelines.X"}, f"section._target_: 'pipelines.X' {ALLOWED}"),
    ({"_target_": None}, f"section._target_: None {ALLOWED}"),
    ({"_target_": ["torch.nn.ReLU"]}, f"section._target_: ['torch.nn.ReLU'] {ALLOWED}"),
    ({"_target_": "pipeline.transforms.statistics.Path"}, f"section._target_: 'pathlib.Path' {ALLOWED}"),
    ({"_target_": "torch.optim.lr_scheduler.cast"}, f"section._target_: 'typing.cast' {ALLOWED}"),
    ({"_target_": "torch.nn.init.torch.load"},
     "section._target_: there is no torch.nn.init.torch.load; correct the"),
    ({"_target_": "pipeline.transforms.augmentation.os.system"},
     "section._target_: there is no pipeline.transforms.augmentation.os.system; "),
    ({"_target_": "pipeline.transforms.augmentation.os"},
     "section._target_: there is no pipeline.transforms.augmentation.os; correct"),
    ({"_target_": "torch.nn.Linaer"}, "section._target_: there is no torch.nn.Linaer; correct the name"),
    ({"_target_": "torch.nn."}, "section._target_: there is no torch.nn.; correct the name"),
    ({"steps": [FLIP, {"x": {"_target_": "os.system"}}]},
     f"section.steps[1].x._target_: 'os.system' {ALLOWED}"),
    (SGD | {"foreach": {"_target_": "os.system"}}, f"section.foreach._target_: 'os.system' {ALLOWED}"),
    # Keys.
    (SGD | {"momentun": 0.9},
     "section.momentun: torch.optim.SGD has no such option; did you mean 'momentum'? "
     "allowed: dampening, differentiable, foreach, fused, lr, maximize, momentum, nesterov, weight_decay"),
    (SGD | {3: 4}, "section.3: torch.optim.SGD has no such option; allowed: dampening"),
    (SGD | {"params": []}, "section.params: torch.optim.SGD has no such option; allowed: dampening"),
    ({"steps": [FLIP | {"q": 1}]},
     "section.steps[0].q: albumentations.HorizontalFlip has no such option; allowed: p"),
    ({"_target_": "torch.nn.Linear", "in_features": 3},
     "section.out_features is missing; torch.nn.Linear needs it"),
    ({"_target_": "albumentations.OneOf", "transforms": [SGD]},
     "section.transforms[0].params is missing; torch.optim.SGD needs it"),
    *[(SGD | {key: True}, f"section.{key}: is set by the pipeline; remove it")
      for key in ("_partial_", "_convert_", "_args_", "_recursive_")],
    # Types.
    (SGD | {"lr": "0.1"},
     "section.lr must be float | Tensor, got '0.1' (str); YAML writes true, 3, 0.1, text, [1, 2]"),
    (SGD | {"lr": True}, "section.lr must be float | Tensor, got True (bool); YAML writes"),
    (SGD | {"lr": None}, "section.lr must be float | Tensor, got None (NoneType); YAML writes"),
    (SGD | {"nesterov": 1}, "section.nesterov must be bool, got 1 (int); YAML writes"),
    (SGD | {"foreach": "yes"}, "section.foreach must be bool | None, got 'yes' (str); YAML writes"),
    (ADAMW | {"betas": 0.9},
     "section.betas must be tuple[float | Tensor, float | Tensor], got 0.9 (float); YAML"),
    (ADAMW | {"betas": [0.9, "a"]},
     "section.betas must be tuple[float | Tensor, float | Tensor], got [0.9, 'a']"),
    (ADAMW | {"betas": [0.9]},
     "section.betas must be tuple[float | Tensor, float | Tensor], got [0.9] (list); YAML"),
    (AFFINE | {"rotate": "ten"},
     "section.rotate must be tuple[float, float] | float, got 'ten' (str); YAML writes"),
    (AFFINE | {"scale": {"x": "wide"}},
     "section.scale must be tuple[float, float] | float | dict[str, float | tuple["),
    (AFFINE | {"balanced_scale": "no"}, "section.balanced_scale must be bool, got 'no' (str); YAML writes"),
]  # fmt: skip


@pytest.mark.parametrize(("section", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_wrong_declaration_is_refused(section: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        check(section)


FACTS: dict[str, Any] = {
    "name": "digits",
    "format": "class_folders",
    "root": "data/digits.zip",
    "digest": None,
    "shape": [1, 8, 8],
    "classes": ["a", "b"],
    "split": "folders",
    "groups": None,
    "fold": None,
    "background": None,
    "ignore_label": None,
    "mirror_changes_label": False,
    "licence": "none",
}

BAD_FACTS: list[tuple[Any, str]] = [
    (3, "data must be a mapping of keys, got 3"),
    ([1], "data must be a mapping of keys, got [1]"),
    (FACTS | {"shpae": 1},
     "data.shpae: pipeline.data.facts.Facts has no such option; did you mean 'shape'? allowed: "),
    ({key: FACTS[key] for key in FACTS if key != "root"},
     "data.root is missing; pipeline.data.facts.Facts needs it"),
    (FACTS | {"shape": "1x8x8"}, "data.shape must be list[int], got '1x8x8' (str); YAML writes"),
    (FACTS | {"shape": [1, 8.0, 8]}, "data.shape must be list[int], got [1, 8.0, 8] (list); YAML writes"),
    (FACTS | {"classes": [0, 1]}, "data.classes must be list[str], got [0, 1] (list); YAML writes"),
    (FACTS | {"split": {"val": "a"}},
     "data.split must be str | dict[str, float], got {'val': 'a'} (dict); YAML"),
    (FACTS | {"groups": 3}, "data.groups must be str | None, got 3 (int); YAML writes"),
    (FACTS | {"fold": {"index": 0.0, "of": 5}},
     "data.fold must be dict[str, int] | None, got {'index': 0.0, 'of': 5} (dict); YAML writes"),
    (FACTS | {"background": "0"}, "data.background must be int | None, got '0' (str); YAML writes"),
]  # fmt: skip


@pytest.mark.parametrize(("section", "message"), BAD_FACTS, ids=lambda value: str(value)[-60:])
def test_section_without_target_is_held_against_its_constructor(section: Any, message: str) -> None:
    check_section(FACTS, "pipeline.data.facts.Facts", path="data")
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        check_section(section, "pipeline.data.facts.Facts", path="data")


def test_every_refusal_in_the_source_has_its_row() -> None:
    raised = set()
    for section, _ in REFUSED:
        with pytest.raises(ConfigError) as told:
            check(section)
        raised.add(traceback.extract_tb(told.tb)[-1].lineno)
    with pytest.raises(ConfigError) as told:
        check_section(3, "pipeline.data.facts.Facts", path="data")
    raised.add(traceback.extract_tb(told.tb)[-1].lineno)
    tree = ast.parse(Path(targets.__file__).read_text())
    assert raised == {node.lineno for node in ast.walk(tree) if isinstance(node, ast.Raise)}


@pytest.mark.parametrize(
    ("annotation", "accepted", "refused"),
    [
        ("int", [1, -3], [1.0, "1", True, None, [1]]),
        ("float", [1.5, 1], ["1", True, None]),
        ("bool", [True], [1, "true", None]),
        ("str", ["a"], [1, None, ["a"]]),
        ("int | None", [1, None], ["a", 1.5]),
        ("'int | None'", [1, None], ["a", 1.5]),  # an annotation in quotes
        ("Optional[float]", [1.5, None], ["a"]),
        ("Union[int, str]", [1, "a"], [None, [1]]),
        ("typing.Literal['a', 'b', None]", ["a", None], ["c", 1]),
        ("Literal[cv2.INTER_AREA]", [3], []),  # not known without importing cv2
        ("Annotated[tuple[int, int], Check(1)]", [[1, 2]], [[1], [1, 2, 3], ["a", 1], 1]),
        ("tuple[int, ...]", [[], [1, 2, 3]], [["a"], 1]),
        ("list[list[int]]", [[], [[1], [2, 3]]], [[1], [["a"]]]),
        ("Sequence[float]", [[1, 2.5]], [1, ["a"]]),
        ("dict[str, bool]", [{}, {"a": True}], [{"a": 1}, [True]]),
        ("Mapping[str, Any]", [{"a": 1}], ["a"]),
        ("Callable[[int], str]", [1, "a", None], []),  # what YAML cannot write is not judged
        ("SomeEnum", ["a", 1], []),
        ("Tensor", [{"_target_": "torch.nn.Parameter"}], [1, "a", {}]),
    ],
)
def test_annotation_decides_which_values_are_accepted(
    annotation: str, accepted: list[Any], refused: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"annotated_{abs(hash(annotation))}"
    (tmp_path / f"{name}.py").write_text(f"def make(value: {annotation}): ...")
    monkeypatch.syspath_prepend(tmp_path)
    for value in accepted:
        check_section({"value": value}, f"{name}.make", path="section")
    for value in refused:
        with pytest.raises(ConfigError, match=r"^section\.value must be "):
            check_section({"value": value}, f"{name}.make", path="section")


def test_prefix_of_the_user_is_accepted_and_no_other() -> None:
    mine = {"_target_": "mylab.nets.Net", "width": 3}
    check(mine, allowed=("mylab.",))
    check({"_target_": "collections.Counter"}, allowed=("mylab.", "collections."))
    with pytest.raises(ConfigError, match=re.escape("'mylab.nets.Net' is not allowed")):
        check(mine, allowed=("yourlab.",))
    with pytest.raises(ConfigError, match=re.escape("'os.system' is not allowed; allowed are names below ")):
        check({"_target_": "os.system"}, allowed=("mylab.",))


def test_keys_set_by_the_pipeline_are_refused_where_a_signature_is_not_known() -> None:
    with pytest.raises(ConfigError, match=r"^section\._partial_: is set by the pipeline; remove it$"):
        check({"_target_": "mylab.Net", "_partial_": True}, allowed=("mylab.",))


def test_re_export_into_a_prefix_of_the_user_is_the_user_s_own_matter() -> None:
    check({"_target_": "pipeline.transforms.statistics.Path"}, allowed=("pathlib.",))
