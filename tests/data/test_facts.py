"""Facts of a data set: those that contradict each other are refused by their config path."""

from typing import Any

import pytest

from pipeline.data.facts import Facts
from pipeline.errors import ConfigError
from tests.makers import data_section

REFUSED = [
    # what is changed                           what is said
    ({"shape": [8, 8]}, r"data\.shape must be \[channels, rows, columns\] with 1 or 3 .*got \[8, 8\]"),
    ({"shape": [2, 8, 8]}, r"data\.shape must be .* with 1 or 3 channels, got \[2, 8, 8\]"),
    ({"shape": [1, 0, 8]}, r"data\.shape must be .*got \[1, 0, 8\]"),
    ({"shape": [1, 8.0, 8]}, r"data\.shape must be .*got \[1, 8\.0, 8\]"),
    ({"classes": ["cat"]}, r"data\.classes must name at least two different classes, got \['cat'\]"),
    ({"classes": ["cat", "cat"]}, r"data\.classes must name at least two different .*\['cat', 'cat'\]"),
    ({"classes": [*map(str, range(256))]}, r"data\.classes has 256 names; at most 255 are possible"),
    ({"background": 2}, r"data\.background must be null or an index below 2, got 2"),
    ({"background": -1}, r"data\.background must be null or an index below 2, got -1"),
    ({"ignore_label": 1}, r"data\.ignore_label must be null or 2 to 255, which no class uses, got 1"),
    ({"ignore_label": 256}, r"data\.ignore_label must be null or 2 to 255, .*got 256"),
    (
        {"split": "random"},
        r"data\.split must be folders or \{val: 0\.15, test: 0\.15, seed: 0\}, got 'random'",
    ),
    ({"split": {"val": 0.5, "test": 0.1}}, r"data\.split must be folders or \{.*\}, got \{'val': 0\.5"),
    (
        {"split": {"val": 0.5, "test": 0.5, "seed": 0}},
        r"data\.split: val 0\.5 and test 0\.5 must .*less than 1",
    ),
    ({"split": {"val": 0.0, "test": 0.5, "seed": 0}}, r"data\.split: val 0\.0 and test 0\.5 must be above 0"),
    (
        {"split": {"val": 0.5, "test": -0.1, "seed": 0}},
        r"data\.split: val 0\.5 and test -0\.1 must be above 0",
    ),
    (
        {"groups": r"form(\d+"},
        r"data\.groups must be .* expression, got 'form\(\\d\+' \(missing \).*; write one .*as patient\\d\+$",
    ),
    (
        {"groups": r"(form|sheet)(\d+)"},
        r"data\.groups: '.*' has 2 capturing groups, .*; write \(\?:\.\.\.\) inst",
    ),
    ({"fold": {}}, r"data\.fold must be null or \{index: 0, of: 5\}, got \{\}"),
    ({"fold": {"index": 0}}, r"data\.fold must be null or \{index: 0, of: 5\}, got \{'index': 0\}"),
    ({"fold": {"index": 0, "of": 5, "seed": 0}}, r"data\.fold must be null or .*'seed': 0\}"),
    ({"fold": {"index": False, "of": 5}}, r"data\.fold must be null or .*'index': False"),
    ({"fold": {"index": 0, "of": 2.0}}, r"data\.fold must be null or .*'of': 2\.0"),
    ({"fold": 5}, r"data\.fold must be null or \{index: 0, of: 5\}, got 5"),
    ({"fold": {"index": 0, "of": 1}}, r"data\.fold: of must be at least 2, .*got 1$"),
    ({"fold": {"index": 5, "of": 5}}, r"data\.fold: index must be 0 to 4, as of is 5, got 5$"),
    ({"fold": {"index": -1, "of": 2}}, r"data\.fold: index must be 0 to 1, as of is 2, got -1$"),
]
ACCEPTED: list[dict[str, Any]] = [
    {"shape": [3, 1, 224]},
    {"classes": [*map(str, range(255))], "ignore_label": 255},
    {"background": 0, "ignore_label": 2},
    {"mirror_changes_label": True},
    {"groups": r"(?:form|sheet)(\d+)"},
    {"fold": {"index": 1, "of": 2}},
    {"fold": {"index": 0, "of": 2}},
    {"split": {"val": 0.3, "test": 0.3, "seed": 5}},
]


@pytest.mark.parametrize(("changes", "match"), REFUSED)
def test_facts_that_cannot_be_are_refused(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Facts.of(data_section("data.zip", **changes))


@pytest.mark.parametrize("changes", ACCEPTED)
def test_facts_at_the_edge_of_what_can_be_are_accepted(changes: dict[str, Any]) -> None:
    section = data_section("data.zip", **changes)
    assert vars(Facts.of(section)) == section
