"""The settings of a training: what is allowed, and how the rest is refused."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.declaration.settings import PRECISIONS, TrainerSettings
from tests.refusals import refused

CONF = Path(__file__).parents[2] / "conf" / "trainer"
DEFAULTS: dict[str, Any] = yaml.safe_load((CONF / "default.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_trainer_names_every_setting(path: Path) -> None:
    section = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(section) == {field.name for field in fields(TrainerSettings)}
    TrainerSettings(**section)


@pytest.mark.parametrize(
    "changed",
    [
        {"max_epochs": 1},
        {"batch_size": 1},
        {"num_workers": 0},
        {"num_workers": "auto"},
        {"keep": "last"},
        {"gradient_clip": 0.5},
        {"early_stopping": {"patience": 3, "min_delta": 0.0}},
        {"deterministic": False},
    ],
    ids=str,
)
def test_settings_at_the_edge_of_the_range_are_accepted(changed: dict[str, Any]) -> None:
    [(key, value)] = changed.items()
    assert getattr(TrainerSettings(**DEFAULTS | changed), key) == value


REFUSED = [
    # key           value       allowed                            the whole sentence, once per message
    ("max_epochs", 0, "at least 1", "trainer.max_epochs must be at least 1, got 0"),
    ("batch_size", 0, "at least 1", "trainer.batch_size must be at least 1, got 0"),
    ("num_workers", -1, "auto or at least 0", ""),
    ("num_workers", "all", "auto or at least 0", "trainer.num_workers must be auto or at least 0, got 'all'"),
    ("precision", "bf16", PRECISIONS,
     "trainer.precision: unknown precision 'bf16'; did you mean 'bf16-mixed'? "
     "allowed: 16-mixed, 32-true, auto, bf16-mixed"),
    ("keep", "first", "best or last", "trainer.keep must be best or last, got 'first'"),
    ("gradient_clip", 0.0, "above 0 or null", "trainer.gradient_clip must be above 0 or null, got 0.0"),
    ("early_stopping", {"patience": 3}, "null or {patience: 10, min_delta: 0.0}",
     "trainer.early_stopping must be null or {patience: 10, min_delta: 0.0}, got {'patience': 3}"),
    ("deterministic", "maybe", "true, false or warn",
     "trainer.deterministic must be true, false or warn, got 'maybe'"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "allowed", "text"), REFUSED)
def test_setting_out_of_range_is_refused(
    key: str, value: Any, allowed: str | Sequence[str], text: str
) -> None:
    with refused(f"trainer.{key}", got=value, allowed=allowed, text=text):
        TrainerSettings(**DEFAULTS | {key: value})
