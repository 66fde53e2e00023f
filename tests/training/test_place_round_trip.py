"""Boxes and points agree, whichever way a user asks for them, and what `predict` writes can be read as data again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipeline.declaration import composition
from pipeline.tracking.uri import tracking_uri
from tests.training.place_trips import Case, check_trip
from tests.training.round_trips import available_forms

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType.*"),  # by MLflow, of its own
]

# Each format, and each task with each rule or as many as it has formats.
CASES = [
    Case("detection", "coco", "letterbox"),
    Case("detection", "yolo", "crop"),
    Case("localization", "csv_boxes", "letterbox"),
    Case("detection", "voc", "squash"),
    Case("coordinates", "csv_points", "crop"),
    Case("localization", "coco", "crop"),
    Case("heatmaps", "csv_points", "letterbox"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_places_agree_and_can_be_read_again(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    shutil.copytree(composition.CONF, project / "conf")
    monkeypatch.setattr(composition, "CONF", project / "conf")
    monkeypatch.chdir(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(project))
    forms = available_forms()
    check_trip(case, project, tmp_path, exported=forms[CASES.index(case) % len(forms)])
