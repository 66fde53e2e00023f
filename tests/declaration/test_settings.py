"""The settings of a training: what is allowed, and how the rest is refused."""

from collections.abc import Sequence
from dataclasses import fields
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.declaration.settings import (
    ACCELERATORS,
    MOST_PROCESSES,
    PRECISIONS,
    STRATEGIES,
    TrackingSettings,
    TrainerSettings,
)
from pipeline.storage.names import NAME
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
        {"num_workers": MOST_PROCESSES},
        {"devices": 4},
        {"devices": "auto"},
        {"early_stopping": {"patience": 1, "min_delta": 0.5}},
        {"keep": "last"},
        {"on_divergence": "halve"},
        {"gradient_clip": 0.5},
        {"norm_momentum": 1},
        {"average": {"ema": 0.5}},
        {"average": {"swa": DEFAULTS["max_epochs"]}},
        {"early_stopping": {"patience": 3, "min_delta": 0.0}},
        {"deterministic": False},
    ],
    ids=str,
)
def test_settings_at_the_edge_of_the_range_are_accepted(changed: dict[str, Any]) -> None:
    [(key, value)] = changed.items()
    assert getattr(TrainerSettings(**DEFAULTS | changed), key) == value


WORKERS, DEVICES = f"from 0 to {MOST_PROCESSES} or auto", f"from 1 to {MOST_PROCESSES} or auto"
REFUSED = [
    # key           value       allowed                            the whole sentence, once per message
    ("max_epochs", 0, "at least 1", "trainer.max_epochs must be at least 1, got 0"),
    ("batch_size", 0, "at least 1", "trainer.batch_size must be at least 1, got 0"),
    ("num_workers", -1, WORKERS, ""),
    ("num_workers", "all", WORKERS, f"trainer.num_workers must be {WORKERS}, got 'all'"),
    ("num_workers", MOST_PROCESSES + 1, WORKERS, ""),
    ("devices", 0, DEVICES, f"trainer.devices must be {DEVICES}, got 0"),
    ("devices", -1, DEVICES, ""),
    ("devices", "0,1", DEVICES, ""),
    ("devices", MOST_PROCESSES + 1, DEVICES, ""),
    ("accelerator", "tpu", ACCELERATORS,
     "trainer.accelerator: unknown accelerator 'tpu'; did you mean 'gpu'? allowed: auto, cpu, cuda, gpu, mps"),
    ("strategy", "dpp", STRATEGIES, ""),
    ("precision", "bf16", PRECISIONS,
     "trainer.precision: unknown precision 'bf16'; did you mean 'bf16-mixed'? "
     "allowed: 16-mixed, 32-true, auto, bf16-mixed"),
    ("on_divergence", "ignore", "stop or halve", "trainer.on_divergence must be stop or halve, got 'ignore'"),
    ("keep", "first", "best or last", "trainer.keep must be best or last, got 'first'"),
    ("gradient_clip", 0.0, "above 0 or null", "trainer.gradient_clip must be above 0 or null, got 0.0"),
    ("gradient_clip", nan, "above 0 or null", ""),
    ("gradient_clip", inf, "above 0 or null", ""),
    ("norm_momentum", 0, "above 0 and at most 1 or null",
     "trainer.norm_momentum must be above 0 and at most 1 or null, got 0"),
    ("norm_momentum", 1.5, "above 0 and at most 1 or null", ""),
    ("average", {"mean": 3}, "null, {ema: 0.999} or {swa: 5}",
     "trainer.average must be null, {ema: 0.999} or {swa: 5}, got {'mean': 3}"),
    ("average", {"ema": 0.9, "swa": 3}, "null, {ema: 0.999} or {swa: 5}", ""),
    ("average", {}, "null, {ema: 0.999} or {swa: 5}", ""),
    ("early_stopping", {"patience": 3}, "null or {patience: 10, min_delta: 0.0}",
     "trainer.early_stopping must be null or {patience: 10, min_delta: 0.0}, got {'patience': 3}"),
    ("deterministic", "maybe", "true, false or warn",
     "trainer.deterministic must be true, false or warn, got 'maybe'"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "allowed", "text"), REFUSED)
def test_setting_out_of_range_is_refused(
    key: str, value: Any, allowed: str | Sequence[str], text: str
) -> None:
    with refused(f"trainer.{key}", allowed=allowed, text=text) as caught:
        TrainerSettings(**DEFAULTS | {key: value})
    assert caught.value.got is value


LAST = "a whole number from 2 to 3"


@pytest.mark.parametrize(
    ("key", "value", "allowed", "text"),
    [
        ("ema", 1.0, "above 0 and below 1", "trainer.average.ema must be above 0 and below 1, got 1.0"),
        ("ema", 0, "above 0 and below 1", ""),
        ("swa", 4, LAST, f"trainer.average.swa must be {LAST}, got 4; at most trainer.max_epochs"),
        ("swa", 1, LAST, ""),
        ("swa", 2.5, LAST, ""),
    ],
)
def test_average_out_of_range_is_refused(key: str, value: float, allowed: str, text: str) -> None:
    with refused(f"trainer.average.{key}", got=value, allowed=allowed, text=text):
        TrainerSettings(**DEFAULTS | {"max_epochs": 3, "average": {key: value}})


def test_average_of_last_epochs_that_early_stopping_may_leave_out_is_refused() -> None:
    stopping = {"early_stopping": {"patience": 3, "min_delta": 0.0}}
    text = (
        "trainer.average: early stopping ends a training before its last epochs, which swa averages, got {'swa': 2}; "
        "use {ema: 0.999}, or set trainer.early_stopping=null"
    )
    with refused("trainer.average", got={"swa": 2}, text=text):
        TrainerSettings(**DEFAULTS | stopping | {"average": {"swa": 2}})
    TrainerSettings(**DEFAULTS | stopping | {"average": {"ema": 0.9}})


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed_stage_2"])
def test_average_of_weights_that_are_divided_is_refused(strategy: str) -> None:
    text = (
        f"trainer.average: trainer.strategy={strategy} leaves no process all weights, which it averages, got "
        "{'ema': 0.9}; use trainer.strategy=ddp, or set trainer.average=null"
    )
    with refused("trainer.average", got={"ema": 0.9}, text=text):
        TrainerSettings(**DEFAULTS | {"strategy": strategy, "average": {"ema": 0.9}})


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("patience", 0, "a whole number of at least 1"),
        ("patience", -1, "a whole number of at least 1"),
        ("patience", 2.5, "a whole number of at least 1"),
        ("min_delta", -0.1, "at least 0"),
        ("min_delta", inf, "at least 0"),
    ],
)
def test_early_stopping_out_of_range_is_refused(key: str, value: float, allowed: str) -> None:
    """With a patience of 0, a resumed run would count as complete."""
    with refused(f"trainer.early_stopping.{key}", got=value, allowed=allowed):
        TrainerSettings(**DEFAULTS | {"early_stopping": {"patience": 3, "min_delta": 0.0, key: value}})


def test_names_are_lightning_s_but_for_tpus() -> None:
    from pytorch_lightning.accelerators import AcceleratorRegistry
    from pytorch_lightning.strategies import StrategyRegistry

    accelerators = {*AcceleratorRegistry.available_accelerators()} - {"tpu"}
    assert {*ACCELERATORS} == accelerators | {"auto", "gpu"}
    strategies = {
        name for name in StrategyRegistry.available_strategies() if "xla" not in name and "tpu" not in name
    }
    assert {*STRATEGIES} == strategies | {"auto"}
    assert len(STRATEGIES) == len({*STRATEGIES})


def test_experiment_without_a_name_is_refused() -> None:
    with refused("tracking.experiment", got=" ", allowed=NAME):
        TrackingSettings(experiment=" ", log_model=False)
