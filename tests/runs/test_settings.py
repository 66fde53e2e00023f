"""The settings of a training: what is allowed, and what a mistake is answered with."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.errors import ConfigError
from pipeline.runs.settings import TrainerSettings

CONF = Path(__file__).parents[2] / "conf" / "trainer"
DEFAULTS: dict[str, Any] = yaml.safe_load((CONF / "default.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_trainer_names_every_setting(path: Path) -> None:
    section = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(section) == {field.name for field in fields(TrainerSettings)}
    TrainerSettings.of(section)


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
def test_settings_at_the_edge_are_taken(changed: dict[str, Any]) -> None:
    [(key, value)] = changed.items()
    assert getattr(TrainerSettings.of(DEFAULTS | changed), key) == value


@pytest.mark.parametrize(
    ("changed", "answer"),
    [
        ({"max_epochs": 0}, "trainer.max_epochs must be at least 1, got 0"),
        ({"batch_size": 0}, "trainer.batch_size must be at least 1, got 0"),
        ({"num_workers": -1}, "trainer.num_workers must be auto or at least 0, got -1"),
        ({"num_workers": "all"}, "trainer.num_workers must be auto or at least 0, got all"),
        ({"keep": "first"}, "trainer.keep must be best or last, got 'first'"),
        ({"gradient_clip": 0.0}, "trainer.gradient_clip must be above 0 or null, got 0.0"),
        (
            {"early_stopping": {"patience": 3}},
            "trainer.early_stopping must be null or {patience: 10, min_delta: 0.0}, got {'patience': 3}",
        ),
        ({"deterministic": "maybe"}, "trainer.deterministic must be true, false or warn, got 'maybe'"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_setting_out_of_range_is_refused_by_name(changed: dict[str, Any], answer: str) -> None:
    with pytest.raises(ConfigError) as refused:
        TrainerSettings.of(DEFAULTS | changed)
    assert str(refused.value) == answer
