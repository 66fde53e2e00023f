"""Facts of a data set: values that are out of range or contradict each other are refused at their config path."""

from typing import Any

import pytest

from pipeline.data.class_names import check_class_names
from pipeline.data.facts import Facts
from pipeline.data.sources import check_source
from tests.makers import data_section
from tests.refusals import refused

SHAPE = "[channels, rows, columns] with 1 or 3 channels"
SPLIT = "folders, random, {val: 0.15, test: 0.15, seed: 0} or, for no test split, {val: 0.15, seed: 0}"
SHARES = "shares above 0 for val and test that sum to less than 1"
CAPTURING = "null or a regular expression with at most one capturing group"
FOLD = "null or {index: 0, of: 5}"
REFUSED = [
    # key         value                                  path               got                   allowed
    ("shape", [8, 8], "data.shape", [8, 8], SHAPE),
    ("shape", [2, 8, 8], "data.shape", [2, 8, 8], SHAPE),
    ("shape", [1, 0, 8], "data.shape", [1, 0, 8], SHAPE),
    ("shape", [1, 8.0, 8], "data.shape", [1, 8.0, 8], SHAPE),
    ("classes", ["cat", "cat"], "data.classes", ["cat", "cat"], "different names"),
    ("points", [], "data.points", [], "null or different names, at least one"),
    ("points", ["eye", "eye"], "data.points", ["eye", "eye"], "null or different names, at least one"),
    ("swapped_points", {}, "data.swapped_points", {}, ""),
    ("min_visible", 1.5, "data.min_visible", 1.5, "from 0 to 1"),
    ("background", "cow", "data.background", "cow", ["cat", "dog"]),
    ("ignore_label", 1, "data.ignore_label", 1, "null or a value from 2 to 255, beyond the class indices"),
    ("ignore_label", 256, "data.ignore_label", 256, "null or a value from 2 to 255, beyond the class indices"),
    ("split", "half", "data.split", "half", SPLIT),
    ("split", {"val": 0.5, "test": 0.1}, "data.split", {"val": 0.5, "test": 0.1}, SPLIT),
    ("split", {"val": 0.5, "test": 0.5, "seed": 0}, "data.split", {"val": 0.5, "test": 0.5, "seed": 0}, SHARES),
    ("split", {"val": 0.0, "test": 0.5, "seed": 0}, "data.split", {"val": 0.0, "test": 0.5, "seed": 0}, SHARES),
    ("split", {"val": 0.5, "test": 0, "seed": 0}, "data.split", {"val": 0.5, "test": 0, "seed": 0}, SHARES),
    ("split", {"val": None, "test": 0.1, "seed": 0}, "data.split", {"val": None, "test": 0.1, "seed": 0}, SPLIT),
    ("split", {"val": 0.5, "test": -0.1, "seed": 0}, "data.split", {"val": 0.5, "test": -0.1, "seed": 0}, SHARES),
    ("groups", r"form(\d+", "data.groups", r"form(\d+", ""),
    ("groups", r"(form|sheet)(\d+)", "data.groups", r"(form|sheet)(\d+)", CAPTURING),
    ("fold", {}, "data.fold", {}, FOLD),
    ("fold", {"index": 0}, "data.fold", {"index": 0}, FOLD),
    ("fold", {"index": 0, "of": 5, "seed": 0}, "data.fold", {"index": 0, "of": 5, "seed": 0}, FOLD),
    ("fold", {"index": False, "of": 5}, "data.fold", {"index": False, "of": 5}, FOLD),
    ("fold", {"index": 0, "of": 2.0}, "data.fold", {"index": 0, "of": 2.0}, FOLD),
    ("fold", 5, "data.fold", 5, FOLD),
    ("fold", {"index": 0, "of": 1}, "data.fold.of", 1, "at least 2"),
    ("fold", {"index": 5, "of": 5}, "data.fold.index", 5, "from 0 to 4 with data.fold.of=5"),
    ("fold", {"index": -1, "of": 2}, "data.fold.index", -1, "from 0 to 1 with data.fold.of=2"),
]  # fmt: skip
MASK_VALUES = 'values from 0 to 65535 or colours such as "#ff0000", in quotes, and their classes'
OF_MASKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"mask_values": {}}, {"allowed": MASK_VALUES}),
    ({"mask_values": {0: "cat", -1: "dog"}}, {"allowed": MASK_VALUES}),
    ({"mask_values": {0: "cat", "#ff0000": "dog"}}, {"allowed": MASK_VALUES}),
    ({"mask_values": {"#FF0000": "cat", "#000000": "dog"}},
     {"text": f"data.mask_values must be {MASK_VALUES}, got {{'#FF0000': 'cat', '#000000': 'dog'}}"}),
    ({"mask_values": {0: "cat", 1: "dgo"}}, {"got": "dgo", "hint": "did you mean 'dog'? "}),
    ({"mask_values": {0: "cat"}},
     {"text": "data.mask_values: no value is class 'dog'; add one, or remove the class"}),
    ({"mask_values": {0: "cat", 1: "dog", 2: None}},
     {"text": "data.mask_values: a value is null, to be ignored, but data.ignore_label is null; set "
              "data.ignore_label=255"}),
]  # fmt: skip
TEXTS = [
    # key         value                     path          the whole sentence
    ("shape", [8, 8], "data.shape", f"data.shape must be {SHAPE}, got [8, 8]"),
    ("classes", ["cat", "cat"], "data.classes", "data.classes must be different names, got ['cat', 'cat']"),
    ("background", "cta", "data.background",
     "data.background: unknown class 'cta'; did you mean 'cat'? allowed: cat, dog"),
    ("ignore_label", 1, "data.ignore_label",
     "data.ignore_label must be null or a value from 2 to 255, beyond the class indices, got 1"),
    ("split", "half", "data.split", f"data.split must be {SPLIT}, got 'half'"),
    ("split", {"val": 0.5, "test": 0.5, "seed": 0}, "data.split",
     "data.split must be shares above 0 for val and test that sum to less than 1, got {'val': 0.5, 'test': 0.5, "
     "'seed': 0}; leave the rest for training, and test out for no test split"),
    ("groups", r"form(\d+", "data.groups",
     "data.groups: not a valid regular expression (missing ), unterminated subpattern at position 4), got "
     r"'form(\\d+'; write one that matches what images of a group share in their names, such as patient\d+"),
    ("groups", "(form|sheet)([0-9]+)", "data.groups",
     "data.groups must be null or a regular expression with at most one capturing group, got '(form|sheet)([0-9]+)'; "
     "write (?:...) for the others"),
    ("fold", {}, "data.fold", "data.fold must be null or {index: 0, of: 5}, got {}"),
    ("fold", {"index": 0, "of": 1}, "data.fold.of",
     "data.fold.of must be at least 2, got 1; set data.fold=null to train without folds"),
    ("fold", {"index": 5, "of": 5}, "data.fold.index",
     "data.fold.index must be from 0 to 4 with data.fold.of=5, got 5"),
]  # fmt: skip
ACCEPTED: list[dict[str, Any]] = [
    {"shape": [3, 1, 224]},
    {"classes": [*map(str, range(255))], "ignore_label": 255},
    {"classes": [*map(str, range(70_000))]},
    {"background": "cat", "ignore_label": 2},
    {"mirror_changes_label": True},
    {"groups": r"(?:form|sheet)(\d+)"},
    {"fold": {"index": 1, "of": 2}},
    {"fold": {"index": 0, "of": 2}},
    {"split": {"val": 0.3, "test": 0.3, "seed": 5}},
    {"split": {"val": 0.3, "seed": 5}},
    {"split": {"val": 0.3, "test": None, "seed": 5}},
    {"split": "random"},
]


@pytest.mark.parametrize(("key", "value", "path", "got", "allowed"), REFUSED)
def test_facts_out_of_range_are_refused(key: str, value: Any, path: str, got: Any, allowed: str) -> None:
    with refused(path, got=got, allowed=allowed):
        Facts(**data_section("data.zip", **{key: value}))


@pytest.mark.parametrize(("key", "value", "path", "text"), TEXTS)
def test_refusal_names_the_setting_and_the_way_out(key: str, value: Any, path: str, text: str) -> None:
    with refused(path, text=text):
        Facts(**data_section("data.zip", **{key: value}))


@pytest.mark.parametrize(("changes", "fields"), OF_MASKS)
def test_values_of_masks_that_mean_no_class_are_refused(
    changes: dict[str, Any], fields: dict[str, Any]
) -> None:
    with refused("data.mask_values", **fields):
        Facts(**data_section("data.zip", **changes))


def test_values_of_masks_become_indices() -> None:
    values = {"#0000ff": "dog", "#ff0000": "cat", "#00ff00": "dog", "#ffffff": None}
    facts = Facts(**data_section("data.zip", mask_values=values, ignore_label=9))
    assert facts.mask_indices() == {"#0000ff": 1, "#ff0000": 0, "#00ff00": 1, "#ffffff": 9}


@pytest.mark.parametrize("changes", ACCEPTED)
def test_facts_at_the_edge_of_the_range_are_accepted(changes: dict[str, Any]) -> None:
    section = data_section("data.zip", **changes)
    assert vars(Facts(**section)) == section


@pytest.mark.parametrize(
    ("classes", "background", "hint"),
    [
        (["other", "cell"], 0, "write data.background=other"),
        (["other", "cell"], 7, "write data.background=<class>"),
        (["other", "1", "0"], 1, 'write data.background="1"'),
        (["no", "yes"], False, 'write data.background="no"'),
    ],
)
def test_background_is_told_by_name_and_never_by_index(
    classes: list[str], background: int, hint: str
) -> None:
    with refused("data.background", got=background, hint=hint) as caught:
        check_class_names({"classes": classes, "background": background})
    assert caught.value.hint == hint
    check_class_names({"classes": classes, "background": classes[0]})


def test_refusal_of_an_index_says_how_to_write_the_name() -> None:
    text = (
        "data.background must be null or the name of a class, in quotes where YAML reads something else than text, "
        "got 0; write data.background=other"
    )
    with refused("data.background", text=text):
        check_class_names({"classes": ["other", "cell"], "background": 0})


def test_masks_have_at_most_255_classes_and_labels_any_number() -> None:
    many = [*map(str, range(256))]
    check_source(Facts(**data_section("images", classes=many)))
    text = "data.classes: data.format=image_masks has at most 255 classes, got 256; merge some of them"
    with refused("data.classes", got=256, text=text):
        check_source(Facts(**data_section("images", format="image_masks", classes=many)))
