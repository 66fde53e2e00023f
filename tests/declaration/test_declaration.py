"""A declaration: typed sections made of plain values, which it keeps as they are written and digested."""

import json
import re
import time
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from pipeline.data.facts import NEUTRAL, Facts
from pipeline.declaration.composition import compose, compose_sections
from pipeline.declaration.declaration import SECTIONS, Declaration
from pipeline.declaration.digests import digest
from pipeline.declaration.loading import load
from pipeline.declaration.settings import TrackingSettings, TrainerSettings
from pipeline.errors import ConfigError, DamagedFileError
from pipeline.files import yaml_text
from pipeline.sweeps.settings import SearchSettings
from pipeline.transforms.settings import AugmentationSettings, ViewSettings
from tests.refusals import refused

PLAIN = compose_sections(["experiment=digits_lenet5", "augmentation=mirror_crop"])


def test_typed_sections_hold_the_plain_values() -> None:
    made = Declaration.parse(PLAIN)
    typed = {"data": Facts, "trainer": TrainerSettings, "augmentation": AugmentationSettings,
             "views": ViewSettings, "search": SearchSettings, "tracking": TrackingSettings}  # fmt: skip
    for section, kind in typed.items():
        value = getattr(made, section)
        assert type(value) is kind
        assert vars(value) == PLAIN[section]
    for section in ("preprocess", "model", "task", "optimizer", "scheduler"):
        assert getattr(made, section) == PLAIN[section]
    assert (made.name, made.seed, made.plan) == (PLAIN["name"], PLAIN["seed"], PLAIN["plan"])
    assert made.input_shape == tuple(PLAIN["input_shape"])
    assert made.allowed_targets == ()
    assert made.around is PLAIN["from"] is None
    assert made.sections == PLAIN


def test_sections_are_those_of_conf() -> None:
    assert set(SECTIONS) == set(PLAIN)
    assert len(SECTIONS) == len(set(SECTIONS))


def test_section_that_python_keeps_the_name_of_is_read() -> None:
    assert Declaration.parse({**PLAIN, "from": "small"}).around == "small"


def test_declaration_cannot_be_changed() -> None:
    made = Declaration.parse(PLAIN)
    with pytest.raises(FrozenInstanceError):
        made.seed = 3  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        made.trainer.max_epochs = 3  # type: ignore[misc]


def test_replaced_sections_are_typed_and_the_others_stay() -> None:
    made = Declaration.parse(PLAIN)
    other = made.replace(trainer={**PLAIN["trainer"], "max_epochs": 3}, seed=5, **{"from": "small"})
    assert (other.trainer.max_epochs, other.seed, other.around) == (3, 5, "small")
    assert other.sections["trainer"]["max_epochs"] == 3
    assert {key for key in SECTIONS if other.sections[key] != made.sections[key]} == {
        "trainer",
        "seed",
        "from",
    }
    assert made == Declaration.parse(PLAIN)
    with refused("trainer.max_epochs", got=0, allowed="at least 1"):
        made.replace(trainer={**PLAIN["trainer"], "max_epochs": 0})


def test_each_section_has_its_digest() -> None:
    digests = Declaration.parse(PLAIN).digests()
    data = {fact: value for fact, value in PLAIN["data"].items() if fact not in NEUTRAL}
    assert digests == {section: digest(value) for section, value in {**PLAIN, "data": data}.items()}
    changed = Declaration.parse(PLAIN).replace(seed=PLAIN["seed"] + 1).digests()
    assert {section for section in digests if changed[section] != digests[section]} == {"seed"}


def test_facts_that_came_later_change_the_digest_of_data_only_where_they_are_set() -> None:
    neutral = Declaration.parse(PLAIN)
    assert {fact: PLAIN["data"][fact] for fact in NEUTRAL} == NEUTRAL, "as conf/facts/default.yaml has them"
    for changes in ({"points": ["tip"]}, {"points": ["tip"], "swapped_points": {}}, {"min_visible": 0.5}):
        changed = neutral.replace(data={**PLAIN["data"], **changes})
        assert changed.digests()["data"] != neutral.digests()["data"]
        assert changed.data.deciding().keys() - neutral.data.deciding().keys() == changes.keys()


@pytest.mark.parametrize(
    ("section", "change", "text"),
    [
        ("trainer", {"patience": 3},
         "trainer: got an unexpected keyword argument 'patience'; compose the declaration again"),
        ("tracking", {"log_model": ...},
         "tracking: missing 1 required positional argument: 'log_model'; compose the declaration again"),
    ],
)  # fmt: skip
def test_section_that_another_version_wrote_is_refused_by_its_name(
    section: str, change: dict[str, Any], text: str
) -> None:
    values = {key: value for key, value in {**PLAIN[section], **change}.items() if value is not ...}
    with refused(section, hint="compose the declaration again", text=text):
        Declaration.parse({**PLAIN, section: values})


def test_declaration_is_read_from_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    made = compose(["experiment=digits_search", "search.sampler=random"])
    path.write_text(yaml_text(dict(made.sections)))
    assert load(path) == made
    path.write_text(
        yaml_text({**made.sections, "digest": {"seed": "0" * 16}})
    )  # as earlier versions wrote it
    assert load(path) == made


EVIL = {"module": "subprocess.Popen", "args": ["true"]}
# What a file says, where it is refused, and the value found.
UNSAFE: list[tuple[dict[str, Any], str, Any]] = [
    ({"model": {**PLAIN["model"], "layers": [EVIL]}}, "model.layers[0].module", "subprocess.Popen"),
    ({"optimizer": {"_target_": "os.system"}}, "optimizer._target_", "os.system"),
    ({"task": {"_target_": "os.system"}}, "task._target_", "os.system"),
    ({"allowed_targets": ["os."], "optimizer": {"_target_": "os.system"}}, "allowed_targets", "os."),
    ({"seed": -1}, "seed", -1),
    ({"trainer": {**PLAIN["trainer"], "max_epochs": 0}}, "trainer.max_epochs", 0),
]


@pytest.mark.parametrize(("sections", "where", "got"), UNSAFE, ids=lambda value: str(value)[:40])
def test_file_is_checked_like_a_composed_declaration(
    sections: dict[str, Any], where: str, got: Any, tmp_path: Path
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml_text(PLAIN | sections))
    with refused(f"{path}: {where}", got=got):
        load(path)


PLAIN_TEXT = yaml_text(PLAIN, width=1000)
LAUGHS = ", ".join(f"&l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
UNREADABLE = {
    "an anchor inside itself": (
        PLAIN_TEXT.replace("layers:", "layers: &a [*a]\n  more:"),
        "its aliases (*) make more than ",
    ),
    "laughs": (
        PLAIN_TEXT.replace("licence: ", f"licence: [&l0 [a], {LAUGHS}] #"),
        "its aliases (*) make more than ",
    ),
    "deep lists": (
        PLAIN_TEXT.replace("layers:", f"layers: {'[' * 80}{']' * 80}\n  more:"),
        "is nested more than 64 ",
    ),
}


@pytest.mark.parametrize(("text", "problem"), UNREADABLE.values(), ids=UNREADABLE)
def test_file_whose_values_never_end_is_refused_soon(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    before = time.process_time()
    with pytest.raises(ConfigError, match=re.escape(problem)) as caught:
        load(path)
    assert caught.value.path.startswith(str(path))
    assert time.process_time() - before < 2


def test_value_that_no_composed_declaration_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for value in ("2026-01-01", "!!set {a, b}", "!!binary aGVsbG8="):
        path.write_text(PLAIN_TEXT.replace("licence: ", f"licence: {value} #"))
        with refused(f"{path}: declaration", allowed="made of text, numbers, lists and mappings"):
            load(path)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [true]", "!evil x", "[" * 5000, "\x00", "&a"]
)
def test_file_that_is_no_plain_yaml_is_no_declaration(tag: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"{PLAIN_TEXT}more: {tag}\n")
    with refused(str(path), hint="`python -m pipeline.compose` writes one"):
        load(path)


def test_file_with_a_section_too_many_or_too_few_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    for sections in (PLAIN | {"colours": 3}, {key: PLAIN[key] for key in SECTIONS if key != "views"}):
        path.write_text(yaml_text(sections))
        with refused(str(path), hint="`python -m pipeline.compose` writes one"):
            load(path)


def test_damaged_file_is_noticed_by_the_digest_in_it(tmp_path: Path) -> None:
    path, made = tmp_path / "one.yaml", compose(["experiment=digits_lenet5"])
    text = made.text()
    path.write_text(text)
    assert load(path) == made
    for damaged in (text.replace("lr: 0.03", "lr: 0.07"), text[:900], text[:900] + "\0" * 900):
        assert damaged != text
        path.write_text(damaged)
        with refused(str(path), hint="delete it, and the command that wrote it writes it again") as caught:
            load(path)
        assert isinstance(caught.value, DamagedFileError)
    header, _, body = text.split("\n", 2)
    path.write_text(f"{header}\n{body.replace('lr: 0.03', 'lr: 0.07')}")
    assert load(path).optimizer["lr"] == 0.07, "edited by a user, who has removed the digest"


@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"\xff\xfe"])
def test_file_of_anything_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_bytes(content)
    with refused(str(tmp_path / "one.yaml")):
        load(tmp_path / "one.yaml")


def test_file_of_another_declaration_is_noticed_by_the_digests_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    made, other = (compose(["experiment=digits_lenet5", f"seed={seed}"]) for seed in (0, 1))
    path.write_text(made.text())
    path.with_suffix(".json").write_text(json.dumps({**made.digests(), "code": {}}))
    assert load(path) == made
    path.write_text(other.text())
    with refused(str(path), hint="delete both") as caught:
        load(path)
    assert caught.value.problem == "does not belong to one.json beside it"
    path.with_suffix(".json").write_text("")
    with refused(str(path.with_suffix(".json"))):
        load(path)
