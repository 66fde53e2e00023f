"""Predictions agree, whichever way a user asks for them: `predict`, exported files, MLflow's model and `evaluate`.

All combinations of tasks, resize rules, channels and formats of exported files are in tests/campaigns; here are a few.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.data.pixel_facts import CUT, RULES
from pipeline.declaration.composition import compose_sections
from pipeline.tasks.demands import load_demands
from tests.training.round_trips import TASKS, Case, available_forms, check_agreement

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType.*"),  # by MLflow, of its own
]

# Every rule with each task of a class per pixel; the other tasks, which need no way back, take turns.
CASES = [
    Case(task, rule, channels=1 if column % 2 == 0 else 3)
    for row, task in enumerate(TASKS)
    for column, rule in enumerate(rule for rule in RULES if rule != CUT)
    if load_demands(compose_sections([f"task={task}"])["task"]).is_dense or (row + column) % 2 == 0
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that all cases share."""
    return tmp_path_factory.mktemp("round_trips")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_ways_out_agree(case: Case, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forms = available_forms()
    form = forms[CASES.index(case) % len(forms)]
    check_agreement(case, root, tmp_path, monkeypatch, forms=[form])
