"""The fingerprint: all that decides a result counts, what only speeds it up does not."""

import copy
from typing import Any

import pytest

from pipeline.declaration.composition import compose
from pipeline.declaration.digests import digest
from pipeline.declaration.keys import FACTS, SECTIONS, deciding
from pipeline.declaration.settings import NOT_DECIDING

CONFIG = compose(["experiment=digits_lenet5"])
DECIDING_TRAINER = sorted(set(CONFIG["trainer"]) - set(NOT_DECIDING))


def digest_with(section: str, key: str | None, value: Any = "changed") -> str:
    config = copy.deepcopy(CONFIG)
    if key is None:
        config[section] = value
    else:
        config[section][key] = value
    return digest(deciding(config))


def test_same_declaration_has_the_same_fingerprint() -> None:
    assert digest(deciding(compose(["experiment=digits_lenet5"]))) == digest(deciding(CONFIG))


@pytest.mark.parametrize("key", DECIDING_TRAINER)
def test_every_setting_of_the_trainer_decides(key: str) -> None:
    assert digest_with("trainer", key) != digest(deciding(CONFIG))


def test_workers_and_progress_do_not_decide() -> None:
    assert set(NOT_DECIDING) == {"num_workers", "progress"} <= set(CONFIG["trainer"])
    for key in NOT_DECIDING:
        assert digest_with("trainer", key) == digest(deciding(CONFIG))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_deciding_section_decides(section: str) -> None:
    assert digest_with(section, None) != digest(deciding(CONFIG))
    if isinstance(CONFIG[section], dict):
        for key in CONFIG[section]:
            assert digest_with(section, key) != digest(deciding(CONFIG)), f"{section}.{key} is ignored"


def test_sections_either_decide_or_are_known_not_to() -> None:
    # The name, where to log and how test images are seen do not change a training, nor which classes are allowed;
    # data count by digest.
    beside = {"name", "allowed_targets", "tracking", "views", "search", "from", "plan", "digest"}
    assert set(CONFIG) == beside | {"data", "trainer"} | set(SECTIONS)
    for section in beside:
        assert digest_with(section, None) == digest(deciding(CONFIG))


@pytest.mark.parametrize("fact", FACTS)
def test_facts_that_shape_the_task_decide(fact: str) -> None:
    assert digest_with("data", fact) != digest(deciding(CONFIG))


@pytest.mark.parametrize("fact", ["licence", "root", "name", "mirror_changes_label"])
def test_where_data_lie_does_not_decide(fact: str) -> None:
    assert digest_with("data", fact) == digest(deciding(CONFIG))


def test_library_versions_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(deciding(CONFIG))
    monkeypatch.setattr("pipeline.declaration.keys.version", lambda package: f"{package} 0")
    assert digest(deciding(CONFIG)) != before
