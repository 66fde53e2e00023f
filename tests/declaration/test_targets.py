"""Which `_target_` a config may name, with which keys: every refusal with its path, value and way out."""

import ast
import traceback
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration import targets
from pipeline.declaration.targets import check_section, check_targets
from pipeline.errors import UNSET, ConfigError
from tests.makers import data_section
from tests.refusals import OF_SGD, refused

SGD = {"_target_": "torch.optim.SGD", "lr": 0.1}
FLIP = {"_target_": "albumentations.HorizontalFlip", "p": 0.5}
RELU = {"_target_": "torch.nn.ReLU"}


def check(
    section: Any, *, kind: str = "optimizer", allowed: tuple[str, ...] = (), given: str = "params"
) -> None:
    check_targets(section, path="section", kind=kind, allowed=allowed, given=frozenset({given}))


ACCEPTED: list[tuple[str, Any]] = [
    ("optimizer", SGD),
    ("step", {"steps": [FLIP, {"more": FLIP}]}),
    ("optimizer", {}),
    ("optimizer", SGD | {"lr": 1}),  # a whole number is a number
    ("optimizer", {"_target_": "torch.optim.AdamW", "lr": 1.0e-3, "betas": [0.9, 0.999], "fused": None}),
    ("optimizer", {"_target_": "torch.optim.AdamW", "lr": 1.0e-3, "amsgrad": True}),
    ("step", {"_target_": "albumentations.Affine", "rotate": [-10, 10], "scale": 1.1, "interpolation": 1}),
    ("step", {"_target_": "albumentations.Affine", "scale": {"x": [0.9, 1.1], "y": 1.0}}),
    ("step", {"_target_": "albumentations.OneOf", "transforms": [FLIP]}),
    ("step", {"_target_": "albumentations.OneOrOther", "first": FLIP, "second": FLIP}),
    ("module", {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 2, "kernel_size": [3, 3]}),
    ("module", {"_target_": "torch.nn.TransformerEncoder", "encoder_layer": RELU, "num_layers": 1}),
]


@pytest.mark.parametrize(("kind", "section"), ACCEPTED, ids=str)
def test_right_declaration_is_accepted(kind: str, section: Any) -> None:
    check(section, kind=kind)


BELOW = "allowed are names below torch.optim. and what the list allowed_targets adds"
OF_MODULES = "allowed are names below torch.nn. and what the list allowed_targets adds"
OF_STEPS = "allowed are names below albumentations., pipeline.transforms.steps. and what the list"
OPTIMIZER = "name a class derived from torch.optim.optimizer.Optimizer"
TYPE = "YAML writes true, 3, 0.1, text, [1, 2]"
AFFINE = {"_target_": "albumentations.Affine"}
ADAMW = {"_target_": "torch.optim.AdamW"}
BETAS = "tuple[float | Tensor, float | Tensor]"

# The kind, what is refused, at which key of the section, the value, and more fields; once per message its wording.
REFUSED: list[tuple[str, Any, str, Any, dict[str, Any]]] = [
    # What is no name below the prefixes, and what only looks like one.
    ("optimizer", {"_target_": "os.system"}, "_target_", "os.system",
     {"text": "section._target_: is not an allowed name of an optimizer, got 'os.system'; " + BELOW}),
    ("module", {"_target_": "torch.load"}, "_target_", "torch.load", {"hint": OF_MODULES}),
    ("optimizer", {"_target_": "builtins.eval"}, "_target_", "builtins.eval", {"hint": BELOW}),
    ("optimizer", {"_target_": "subprocess.run"}, "_target_", "subprocess.run", {"hint": BELOW}),
    ("module", {"_target_": "torch.nnn.Linear"}, "_target_", "torch.nnn.Linear", {"hint": OF_MODULES}),
    ("task", {"_target_": "pipelines.X"}, "_target_", "pipelines.X", {"hint": "below pipeline.tasks. and"}),
    ("module", {"_target_": None}, "_target_", None, {"hint": OF_MODULES}),
    ("module", {"_target_": ["torch.nn.ReLU"]}, "_target_", ["torch.nn.ReLU"], {"hint": OF_MODULES}),
    ("preprocess", {"_target_": "pipeline.transforms.preprocess.Statistics"}, "_target_",
     "pipeline.transforms.statistics.Statistics", {"hint": "below pipeline.transforms.preprocess. and"}),
    ("scheduler", {"_target_": "torch.optim.lr_scheduler.cast"}, "_target_", "typing.cast", {"hint": BELOW}),
    ("module", {"_target_": "torch.nn.init.torch.load"}, "_target_", "torch.nn.init.torch.load",
     {"hint": "correct the name"}),
    ("preprocess", {"_target_": "pipeline.transforms.preprocess.np.load"}, "_target_",
     "pipeline.transforms.preprocess.np.load", {"hint": "correct the name"}),
    ("module", {"_target_": "torch.nn.Linaer"}, "_target_", "torch.nn.Linaer",
     {"text": "section._target_: there is no torch.nn.Linaer, got 'torch.nn.Linaer'; correct the name"}),
    ("module", {"_target_": "torch.nn."}, "_target_", "torch.nn.", {"hint": "correct the name"}),
    # What the kind of the section is not.
    ("optimizer", {"_target_": "torch.optim.lr_scheduler.StepLR"}, "_target_", "torch.optim.lr_scheduler.StepLR",
     {"text": "section._target_: is not an optimizer, got 'torch.optim.lr_scheduler.StepLR'; " + OPTIMIZER}),
    ("scheduler", SGD, "_target_", "torch.optim.SGD", {"hint": "from torch.optim.lr_scheduler.LRScheduler"}),
    ("optimizer", {"_target_": "torch.optim.optimizer.register_optimizer_step_pre_hook"}, "_target_", UNSET,
     {"hint": OPTIMIZER}),
    ("module", {"_target_": "torch.nn.init.zeros_"}, "_target_", UNSET, {"hint": "from torch.nn.modules.module.M"}),
    ("module", {"_target_": "torch.nn.Parameter"}, "_target_", "torch.nn.Parameter", {"hint": "name a class derived"}),
    ("step", {"_target_": "albumentations.load"}, "_target_", "albumentations.load", {"hint": "core.transforms_inter"}),
    ("step", {"_target_": "albumentations.check_version.fetch_version_info"}, "_target_", UNSET,
     {"hint": "core.transforms_interface.BasicTransform or albumentations.core.composition.BaseCompose"}),
    ("mixing", {"_target_": "pipeline.transforms.mixing.cut"}, "_target_", UNSET, {"hint": "correct the name"}),
    # Private names.
    ("module", {"_target_": "torch.nn.attention._fa4._fa4_import_module"}, "_target_", UNSET,
     {"text": "section._target_: names something private, got 'torch.nn.attention._fa4._fa4_import_module'; "
              "name a public class of the library"}),
    ("preprocess", {"_target_": "pipeline.transforms.preprocess._Whiten"}, "_target_", UNSET, {"hint": "public"}),
    # Classes that do more than they should.
    ("step", {"_target_": "albumentations.FDA"}, "_target_", "albumentations.FDA",
     {"text": "section._target_: opens the files that its arguments name, got 'albumentations.FDA'; "
              "choose a transform of albumentations that does not"}),
    ("step", {"_target_": "albumentations.core.Lambda"}, "_target_", UNSET, {"hint": "correct the name"}),
    ("step", {"_target_": "albumentations.Lambda"}, "_target_", "albumentations.Lambda", {"hint": "that does not"}),
    # Below others.
    ("step", {"steps": [FLIP, {"x": {"_target_": "os.system"}}]}, "steps[1].x._target_", "os.system",
     {"hint": OF_STEPS}),
    ("optimizer", SGD | {"foreach": {"_target_": "os.system"}}, "foreach._target_", "os.system",
     {"hint": OF_MODULES}),
    ("step", {"_target_": "albumentations.OneOf", "transforms": [SGD]}, "transforms[0]._target_", "torch.optim.SGD",
     {"hint": OF_STEPS}),
    # Keys.
    ("optimizer", SGD | {"momentun": 0.9}, "momentun", "momentun",
     {"allowed": OF_SGD, "text": "section.momentun: unknown option of SGD 'momentun'; did you mean 'momentum'? "
                                 f"allowed: {', '.join(OF_SGD)}"}),
    ("optimizer", SGD | {3: 4}, "3", 3, {"allowed": OF_SGD}),
    ("optimizer", SGD | {"params": []}, "params", "params", {"allowed": OF_SGD}),
    ("step", {"steps": [FLIP | {"q": 1}]}, "steps[0].q", "q", {"allowed": ["p"]}),
    ("module", {"_target_": "torch.nn.Linear", "in_features": 3}, "out_features", UNSET,
     {"text": "section.out_features: is missing; torch.nn.Linear needs it"}),
    ("optimizer", SGD | {"_partial_": True}, "_partial_", UNSET,
     {"text": "section._partial_: is set by the pipeline; remove it"}),
    *[("optimizer", SGD | {key: True}, key, UNSET, {"hint": "remove it"})
      for key in ("_convert_", "_args_", "_recursive_")],
    # Types.
    ("optimizer", SGD | {"lr": "0.1"}, "lr", "0.1",
     {"allowed": "float | Tensor",
      "text": f"section.lr must be float | Tensor, got '0.1'; this is str; {TYPE}"}),
    ("optimizer", SGD | {"lr": True}, "lr", True, {"allowed": "float | Tensor", "hint": "this is bool; "}),
    ("optimizer", SGD | {"lr": None}, "lr", None, {"allowed": "float | Tensor", "hint": "this is NoneType; "}),
    ("optimizer", SGD | {"nesterov": 1}, "nesterov", 1, {"allowed": "bool", "hint": "this is int; "}),
    ("optimizer", SGD | {"foreach": "yes"}, "foreach", "yes", {"allowed": "bool | None", "hint": "this is str; "}),
    ("optimizer", ADAMW | {"betas": 0.9}, "betas", 0.9, {"allowed": BETAS, "hint": "this is float; "}),
    ("optimizer", ADAMW | {"betas": [0.9, "a"]}, "betas", [0.9, "a"], {"allowed": BETAS}),
    ("optimizer", ADAMW | {"betas": [0.9]}, "betas", [0.9], {"allowed": BETAS, "hint": "this is list; "}),
    ("step", AFFINE | {"rotate": "ten"}, "rotate", "ten", {"allowed": "tuple[float, float] | float"}),
    ("step", AFFINE | {"scale": {"x": "wide"}}, "scale", {"x": "wide"},
     {"allowed": "tuple[float, float] | float | dict[str, float | tuple[float, float]]", "hint": "this is dict; "}),
    ("step", AFFINE | {"balanced_scale": "no"}, "balanced_scale", "no", {"allowed": "bool"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "section", "key", "got", "fields"), REFUSED, ids=lambda value: str(value)[:60]
)
def test_wrong_declaration_is_refused(
    kind: str, section: Any, key: str, got: Any, fields: dict[str, Any]
) -> None:
    with refused(f"section.{key}", got=got, **fields):
        check(section, kind=kind)


FACTS = data_section("data/digits.zip", name="digits", classes=["a", "b"], licence="none")

FACT = "pipeline.data.facts.Facts"
BAD_FACTS: list[tuple[Any, str, Any, dict[str, Any]]] = [
    (3, "data", 3, {"text": "data must be a mapping of keys, got 3"}),
    ([1], "data", [1], {"allowed": "a mapping of keys"}),
    (FACTS | {"shpae": 1}, "data.shpae", "shpae", {"allowed": FACTS, "hint": "did you mean 'shape'? allowed: "}),
    ({key: FACTS[key] for key in FACTS if key != "root"}, "data.root", UNSET, {"hint": f"{FACT} needs it"}),
    (FACTS | {"shape": "1x8x8"}, "data.shape", "1x8x8", {"allowed": "list[int]", "hint": "this is str; "}),
    (FACTS | {"shape": [1, 8.0, 8]}, "data.shape", [1, 8.0, 8], {"allowed": "list[int]", "hint": "this is list; "}),
    (FACTS | {"classes": [0, 1]}, "data.classes", [0, 1], {"allowed": "list[str]"}),
    (FACTS | {"split": {"val": "a"}}, "data.split", {"val": "a"}, {"allowed": "str | dict[str, float | None]"}),
    (FACTS | {"groups": 3}, "data.groups", 3, {"allowed": "str | None", "hint": "this is int; "}),
    (FACTS | {"fold": {"index": 0.0, "of": 5}}, "data.fold", {"index": 0.0, "of": 5},
     {"allowed": "dict[str, int] | None"}),
    (FACTS | {"background": ["a"]}, "data.background", ["a"], {"allowed": "str | None"}),
]  # fmt: skip


@pytest.mark.parametrize(("section", "path", "got", "fields"), BAD_FACTS, ids=lambda value: str(value)[-60:])
def test_section_without_target_is_held_against_its_constructor(
    section: Any, path: str, got: Any, fields: dict[str, Any]
) -> None:
    check_section(FACTS, FACT, path="data")
    with refused(path, got=got, **fields):
        check_section(section, FACT, path="data")


def test_every_refusal_in_the_source_has_its_row() -> None:
    raised = set()
    for kind, section, *_ in REFUSED:
        with pytest.raises(ConfigError) as told:
            check(section, kind=kind)
        raised.add(traceback.extract_tb(told.tb)[-1].lineno)
    with pytest.raises(ConfigError) as told:
        check_section(3, "pipeline.data.facts.Facts", path="data")
    raised.add(traceback.extract_tb(told.tb)[-1].lineno)
    tree = ast.parse(Path(targets.__file__).read_text())
    assert raised == {node.lineno for node in ast.walk(tree) if isinstance(node, ast.Raise)}


@pytest.mark.parametrize(
    ("annotation", "accepted", "wrong"),
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
    annotation: str, accepted: list[Any], wrong: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"annotated_{abs(hash(annotation))}"
    (tmp_path / f"{name}.py").write_text(f"def make(value: {annotation}): ...")
    monkeypatch.syspath_prepend(tmp_path)
    for value in accepted:
        check_section({"value": value}, f"{name}.make", path="section")
    for value in wrong:
        with refused("section.value", got=value, allowed=ast.unparse(ast.parse(annotation, mode="eval"))):
            check_section({"value": value}, f"{name}.make", path="section")


def test_prefix_of_the_user_is_accepted_and_no_other() -> None:
    mine = {"_target_": "mylab.nets.Net", "width": 3}
    check(mine, allowed=("mylab.",))
    check({"_target_": "collections.Counter"}, allowed=("mylab.", "collections."))
    with refused("section._target_", got="mylab.nets.Net", hint="torch.optim., yourlab. and what"):
        check(mine, allowed=("yourlab.",))
    with refused("section._target_", got="os.system", hint="mylab. and what the list allowed_targets adds"):
        check({"_target_": "os.system"}, allowed=("mylab.",))


def test_keys_set_by_the_pipeline_are_refused_where_a_signature_is_not_known() -> None:
    with refused("section._partial_", hint="remove it"):
        check({"_target_": "mylab.Net", "_partial_": True}, allowed=("mylab.",))


def test_re_export_into_a_prefix_of_the_user_is_the_user_s_own_matter() -> None:
    check({"_target_": "torch.optim.lr_scheduler.Counter"}, allowed=("collections.",))
