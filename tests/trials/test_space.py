"""The space in Hydra's words: every form is read, every mistake told; what is written is read back."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import given
from hypothesis import strategies as st

from pipeline.declaration.composition import compose_sections
from pipeline.errors import UNSET
from pipeline.sweeps.dimensions import Choice, Dimension, Entry, Interval
from pipeline.trials.space import check_keys, check_values_of, parse_space, written
from tests.refusals import refused


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("interval(0.1, 1)", Interval(0.1, 1.0)),
        ("interval(1, 8)", Interval(1.0, 8.0)),
        ("int(interval(1, 8))", Interval(1, 8, is_integer=True)),
        ("tag(log, interval(1.0e-4, 1.0))", Interval(1e-4, 1.0, is_log=True)),
        ("tag(log, int(interval(1, 8)))", Interval(1, 8, is_log=True, is_integer=True)),
        ("choice(relu, tanh)", Choice(("relu", "tanh"))),
        ("relu, tanh", Choice(("relu", "tanh"))),
        ("choice(32, 1.5, true, 'a b')", Choice((32, 1.5, True, "a b"))),
        ("choice([1, 2], [3])", Choice(([1, 2], [3]))),
        ("choice({group: 8}, batch)", Choice(({"group": 8}, "batch"))),
        ("range(1, 9, 2)", Choice((1, 3, 5, 7), is_ordered=True)),
        ("range(0.5, 2, 0.5)", Choice((0.5, 1.0, 1.5), is_ordered=True)),
    ],
)
def test_every_form_of_a_dimension_is_read(text: str, dimension: Dimension) -> None:
    [entry] = parse_space({"model.width": text})
    assert entry == Entry("model.width", dimension)
    assert isinstance(entry.dimension, Interval) == isinstance(dimension, Interval)
    if isinstance(entry.dimension, Interval):
        assert isinstance(entry.dimension.low, int if entry.dimension.is_integer else float)


@pytest.mark.parametrize(("when", "wanted"), [("k=a", "a"), ("k=1", 1), ("k=true", True), ("k='x y'", "x y")])
def test_condition_names_another_key_and_the_value_it_must_have(when: str, wanted: Any) -> None:
    entries = parse_space({"k": "choice(a, 1, true, 'x y')", "sub": {"draw": "interval(0, 1)", "when": when}})
    assert entries[1] == Entry("sub", Interval(0.0, 1.0), ("k", wanted))
    assert type(entries[1].when[1]) is type(wanted)


ONE_VALUE = "write choice(a, b), interval(0.1, 1)"


@pytest.mark.parametrize(
    ("space", "path", "got", "hint", "text"),
    [
        ({}, "", UNSET, "", "search.space: is empty, so there is nothing to search; choose search=coarse, or add keys"),
        ({"k": "0.1"}, ".k", "0.1", ONE_VALUE,
         "search.space.k: is a single value, got '0.1'; write choice(a, b), interval(0.1, 1), range(1, 9, 2) or "
         "tag(log, interval(1.0e-4, 0.1))"),
        ({"k": 0.1}, ".k", 0.1, ONE_VALUE, ""),
        ({"k": "[1,2]"}, ".k", "[1,2]", ONE_VALUE, ""),
        ({"k": [1, 2]}, ".k", [1, 2], ONE_VALUE, ""),
        ({"k": None}, ".k", None, ONE_VALUE, ""),
        ({"k": "interval(1, 0)"}, ".k", (1.0, 0.0), "write the lower bound first", ""),
        ({"k": "choice(a)"}, ".k", ["a"], "remove duplicates", ""),
        ({"k": {"draw": "choice(1, 2)"}}, ".k", ["draw"], "",
         "search.space.k must be a mapping of draw and when, got ['draw']"),
        ({"k": {"draw": "choice(1, 2)", "wen": "a=1"}}, ".k", ["draw", "wen"], "", ""),
        ({"kind": "choice(a, b)", "sub": {"draw": "choice(1, 2)", "when": "knd=a"}}, ".sub.when", "knd",
         "did you mean 'kind'?", "search.space.sub.when: unknown key 'knd'; did you mean 'kind'? allowed: kind, sub"),
        ({"k": "tag(log, choice(1, 2))"}, ".k", "tag(log, choice(1, 2))", "remove other tags",
         "search.space.k: the only tag is log, of an interval, got 'tag(log, choice(1, 2))'; remove other tags"),
        ({"k": "tag(lg, interval(1, 2))"}, ".k", "tag(lg, interval(1, 2))", "remove other tags", ""),
    ],
    ids=lambda each: str(each) if isinstance(each, Mapping) else "",
)  # fmt: skip
def test_mistake_in_a_space_is_refused_by_its_key(
    space: dict[str, Any], path: str, got: object, hint: str, text: str
) -> None:
    with refused(f"search.space{path}", got=got, hint=hint, text=text):
        parse_space(space)


@pytest.mark.parametrize("text", ["interval(1", "choice('a b', null)", "choice(a, b", "interval(a, b)"])
def test_what_hydra_cannot_read_is_refused_by_its_key(text: str) -> None:
    with refused("search.space.k", hint="write choice(a, b) or interval(0.1, 1)"):
        parse_space({"k": text})


NEVER = "search.space.sub.when: k is never 'c', since it is choice(a, b), got 'k=c'; name a value of a choice"


@pytest.mark.parametrize(
    ("when", "hint", "text"),
    [
        ("k=c", "name a value of a choice", NEVER),
        ("number=1", "name a value of a choice", ""),
        ("k", "", "search.space.sub.when must be <other key>=<value>, got 'k'"),
        ("sub=1", "", ""),
    ],
)
def test_condition_that_can_never_be_met_is_refused(when: str, hint: str, text: str) -> None:
    space = {"k": "choice(a, b)", "number": "interval(0, 2)", "sub": {"draw": "choice(1, 2)", "when": when}}
    with refused("search.space.sub.when", got=when, hint=hint, text=text):
        parse_space(space)


SECTIONS = {
    "model": {"width": 1, "block": {"norm": "batch"}, "lr_factors": [1, 2]},
    "optimizer": {"lr": 0.1},
    "seed": 0,
}


@pytest.mark.parametrize(
    "key",
    [
        "optimizer.lr",
        "model.block.norm",
        "model.lr_factors.1",
        "seed",
        "optimizer",
        "model.block",
        "model@model.encoder",
    ],
)
def test_keys_of_the_declaration_and_groups_are_taken(key: str) -> None:
    check_keys([Entry(key, Choice((1, 2)))], SECTIONS)


def test_key_with_a_condition_may_come_with_it() -> None:
    check_keys([Entry("optimizer.betas", Choice((1, 2)), ("optimizer", "adam"))], SECTIONS)


@pytest.mark.parametrize(
    ("key", "part", "allowed"),
    [
        ("optimizer.lrr", "lrr", ["lr"]),
        ("optimiser.lr", "optimiser", ["model", "optimizer", "seed"]),
        ("optimizer.lr.x", "x", []),
        ("model.lr_factors.2", "2", ["0", "1"]),
        ("seed.a", "a", []),
    ],
)
def test_key_that_the_declaration_lacks_is_refused(key: str, part: str, allowed: list[str]) -> None:
    first = "search.space.optimizer.lrr: unknown key 'lrr'; did you mean 'lr'? allowed: lr"
    with refused(f"search.space.{key}", got=part, text=first if part == "lrr" else "") as mistake:
        check_keys([Entry(key, Choice((1, 2)))], SECTIONS)
    assert mistake.value.allowed == allowed


@pytest.mark.parametrize(
    "key",
    [
        "name",
        "views",
        "views.mirror",
        "tracking.experiment",
        "allowed_targets",
        "search",
        "search.seed",
        "from",
        "plan",
        "trainer.num_workers",
        "trainer.progress",
    ],
)
@pytest.mark.parametrize("when", [None, ("optimizer", "adam")], ids=["always", "at times"])
def test_key_that_does_not_decide_a_training_is_refused(key: str, when: tuple[str, str] | None) -> None:
    text = (
        f"search.space.{key}: does not change the result of a training, so there is nothing to choose; set it for all "
        "trials"
    )
    with refused(
        f"search.space.{key}", hint="set it for all trials", text=text if key == "name" else ""
    ) as mistake:
        check_keys([Entry(key, Choice((1, 2)), when)], SECTIONS)
    assert "does not change the result" in mistake.value.problem


def read(text: str) -> Any:
    return OverridesParser.create().parse_override(f"k={text}").value()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (-3, "-3"),
        (0.1, "0.1"),
        (1e-05, "1e-05"),
        (1e22, "1e+22"),
        ("relu", "relu"),
        ("a b", "'a b'"),
        ("a, b", "'a, b'"),
        ("[x]", "'[x]'"),
        ("data/x.csv", "data/x.csv"),
        ("", "''"),
        ([1, 0.5, None, True], "[1,0.5,null,true]"),
        (["a b", "c, d"], "['a b','c, d']"),
        ([[1], []], "[[1],[]]"),
        ({"group": 8, "of": [1]}, "{group:8,of:[1]}"),
    ],
    ids=repr,
)
def test_values_are_written_as_hydra_reads_them(value: Any, text: str) -> None:
    assert written(value) == text
    assert read(text) == value
    assert type(read(text)) is type(value)


PLAIN = st.text("abcxyz -,.:;=[]{}()/+*&%$#@!?", max_size=12).map("z".__add__)


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | PLAIN, st.lists, max_leaves=6
    )
)
def test_whatever_is_written_is_read_back(value: Any) -> None:
    assert read(written(value)) == value


@pytest.mark.parametrize("value", ["null", "true", "1", "1e-5", "nan", "it's", "é", "a\\"])
def test_text_that_looks_like_something_else_stays_text(value: str) -> None:
    try:
        assert read(written(value)) == value
    except HydraException as reason:
        pytest.fail(str(reason))


def test_coarse_searches_keys_that_the_declaration_has() -> None:
    sections = compose_sections(["experiment=digits_lenet5", "search=coarse"])
    entries = parse_space(sections["search"]["space"])
    check_keys(entries, sections)
    assert entries[0] == Entry("optimizer.lr", Interval(1e-4, 1.0, is_log=True))
    assert [entry.key for entry in entries[1:]] == ["optimizer.weight_decay", "trainer.batch_size"]


def test_conditions_that_depend_on_each_other_are_refused() -> None:
    space = {
        "a": {"draw": "choice(1, 2)", "when": "b=1"},
        "b": {"draw": "choice(1, 2)", "when": "a=1"},
    }
    text = "search.space.a.when: a and b depend on each other; remove one of the conditions"
    with refused("search.space.a.when", hint="remove one of the conditions", text=text):
        parse_space(space)


OUT_OF_RANGE = [
    # key                       values                      what is refused
    ("optimizer.lr", "interval(-0.1, 0.1)", "optimizer.lr", -0.1),
    ("optimizer.lr", "choice(0.1, 0.2, -3)", "optimizer.lr", -3),
    ("trainer.batch_size", "range(0, 64, 8)", "trainer.batch_size", 0),
    ("trainer.gradient_clip", "choice(0.0, 1.0)", "trainer.gradient_clip", 0.0),
    ("task.label_smoothing", "interval(0.0, 1.0)", "task.label_smoothing", 1.0),
    ("trainer.precision", "choice(auto, half)", "trainer.precision", "half"),
]


@pytest.mark.parametrize(("key", "values", "path", "got"), OUT_OF_RANGE)
def test_value_out_of_the_range_of_its_key_is_refused_before_any_trial(
    key: str, values: str, path: str, got: Any
) -> None:
    problem = rf"^contains {got}, and {path}"
    with refused(f"search.space.{key}", hint="leave that value out") as caught:
        check_values_of(parse_space({key: values}), ["experiment=digits_lenet5"])
    assert re.search(problem, caught.value.problem)


def test_value_that_does_not_fit_others_is_left_to_its_trial() -> None:
    """LeNet-5 cannot process images of 8 x 8, but another network of the space may."""
    space = {"input_shape": "choice([1, 32, 32], [1, 8, 8])", "model": "choice(lenet5, mlp)"}
    check_values_of(parse_space(space), ["experiment=digits_lenet5"])
