"""Predictions agree, whichever way a user asks for them: each task, resize rule, number of channels and format."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from pipeline.data.pixel_facts import CUT, RULES
from tests.training.round_trips import TASKS, Case, available_forms, check_agreement

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType.*"),  # by MLflow, of its own
]

CASES = [Case(*each) for each in product(TASKS, [rule for rule in RULES if rule != CUT], (1, 3))]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project that all cases share."""
    return tmp_path_factory.mktemp("round_trips")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_ways_out_agree(case: Case, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_agreement(case, root, tmp_path, monkeypatch, forms=available_forms())
