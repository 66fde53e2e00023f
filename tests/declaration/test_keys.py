"""The fingerprint: all that decides a result counts, what only speeds it up does not."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from pipeline.declaration import keys
from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import SECTIONS, Declaration
from pipeline.declaration.digests import digest
from pipeline.declaration.keys import (
    deciding,
    fingerprint,
    identity,
)
from pipeline.declaration.settings import NOT_DECIDING
from tests.makers import write_class_folders
from tests.refusals import refused

DIGITS = compose(["experiment=digits_lenet5"])
CONFIG = dict(DIGITS.sections)
DECIDING_TRAINER = sorted(set(CONFIG["trainer"]) - set(NOT_DECIDING))


def deciding_with(section: str, key: str | None, value: Any = "changed") -> str:
    config = deepcopy(CONFIG)
    if key is None:
        config[section] = value
    else:
        config[section] = config[section] | {key: value}
    return digest(deciding(Untyped(config)))


class Untyped:
    """The plain values of a declaration, also of one that could not be typed."""

    def __init__(self, sections: dict[str, Any]) -> None:
        self.sections = sections


# What of a declaration decides.


def test_same_declaration_has_the_same_fingerprint(tiny: Declaration, tmp_path: Path) -> None:
    again = Declaration.parse(deepcopy(dict(tiny.sections)))
    assert fingerprint(again, root=tmp_path) == fingerprint(tiny, root=tmp_path / "elsewhere")
    assert fingerprint(tiny.replace(seed=1), root=tmp_path) != fingerprint(tiny, root=tmp_path)


@pytest.mark.parametrize("key", DECIDING_TRAINER)
def test_every_setting_of_the_trainer_decides(key: str) -> None:
    assert deciding_with("trainer", key) != digest(deciding(DIGITS))


def test_workers_and_progress_do_not_decide() -> None:
    assert set(NOT_DECIDING) == {"num_workers", "progress"} <= set(CONFIG["trainer"])
    for key in NOT_DECIDING:
        assert deciding_with("trainer", key) == digest(deciding(DIGITS))


@pytest.mark.parametrize("section", keys.SECTIONS)
def test_every_deciding_section_decides(section: str) -> None:
    assert deciding_with(section, None) != digest(deciding(DIGITS))
    if isinstance(CONFIG[section], dict):
        for key in CONFIG[section]:
            assert deciding_with(section, key) != digest(deciding(DIGITS)), f"{section}.{key} is ignored"


def test_sections_either_decide_or_are_known_not_to() -> None:
    # The name, where to log and how test images are seen do not change a training, nor which classes are allowed;
    # data count by digest.
    beside = {"name", "allowed_targets", "tracking", "views", "search", "from", "plan"}
    assert set(SECTIONS) == beside | {"data", "trainer"} | set(keys.SECTIONS)
    for section in beside:
        assert deciding_with(section, None) == digest(deciding(DIGITS))


@pytest.mark.parametrize("fact", keys.FACTS)
def test_facts_that_shape_the_task_decide(fact: str) -> None:
    assert deciding_with("data", fact) != digest(deciding(DIGITS))


@pytest.mark.parametrize("fact", ["licence", "root", "name", "mirror_changes_label"])
def test_where_data_lie_does_not_decide(fact: str) -> None:
    assert deciding_with("data", fact) == digest(deciding(DIGITS))


@pytest.mark.parametrize(
    "changes",
    [{"name": "other"}, {"views": {"crops": "corners", "mirror": True}}, {"plan": True}, {"from": "small"}],
    ids=str,
)
def test_fingerprint_leaves_out_what_does_not_decide(
    changes: dict[str, Any], tiny: Declaration, tmp_path: Path
) -> None:
    assert fingerprint(tiny.replace(**changes), root=tmp_path) == fingerprint(tiny, root=tmp_path)


def test_data_weights_and_own_code_decide(
    tiny: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed_by(declared: Declaration) -> set[str]:
        now = identity(declared, root=tmp_path)
        return {key for key in now if now[key] != before[key]}

    before = identity(tiny, root=tmp_path)
    assert changed_by(tiny) == set()
    (tmp_path / "weights.pt").write_bytes(b"weights")
    started = tiny.replace(model={**tiny.model, "pretrained": str(tmp_path / "weights.pt")})
    assert changed_by(started) == {"declaration", "pretrained"}
    before = identity(started, root=tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"other weights")
    assert changed_by(started) == {"pretrained"}

    (tmp_path / "my_optim.py").write_text("class Lion:\n    rate = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = tiny.replace(optimizer={"_target_": "my_optim.Lion"}, allowed_targets=["my_optim."])
    before = identity(own, root=tmp_path)
    (tmp_path / "my_optim.py").write_text("# a comment\nclass Lion:\n    rate = 1\n")
    assert changed_by(own) == set()
    (tmp_path / "my_optim.py").write_text("class Lion:\n    rate = 2\n")
    assert changed_by(own) == {"code"}

    before = identity(tiny, root=tmp_path)
    write_class_folders(tmp_path / "data.zip", num_images=4)
    assert changed_by(tiny) == {"data"}


def test_own_class_whose_source_cannot_be_found_is_refused(tiny: Declaration, tmp_path: Path) -> None:
    own = tiny.replace(optimizer={"_target_": "not_there.Lion"}, allowed_targets=["not_there."])
    text = (
        "allowed_targets: the source of not_there.Lion cannot be found, so its changes could not be noticed; "
        "define it in a Python module on the path"
    )
    with refused("allowed_targets", text=text):
        fingerprint(own, root=tmp_path)
