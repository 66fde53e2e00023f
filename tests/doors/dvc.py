"""Small experiments for tests of `dvc repro`, and what they ask of its output."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from tests.doors.project import Project

DIGITS = "trainer.batch_size=256 trainer.max_epochs=8 augmentation=steps tracking.log_model=false"
BRAIN = "data.shape=[1,48,40] model.width=0.5 trainer.max_epochs=1 augmentation=none tracking.log_model=false"
EXPERIMENT = '  digits_lenet5: {{data: digits, overrides: "{}"}}\n'
PARAMS = f"experiments:\n{EXPERIMENT.format(DIGITS)}augmented: {{}}\n"
TWO = PARAMS.replace("augmented", f'  brain_unet: {{data: brain, overrides: "{BRAIN}"}}\naugmented').replace(
    "=8", "=2"
)
STEPS = """\
# Crop and enlarge again, then pad and crop.
steps:
  - {_target_: albumentations.RandomResizedCrop, size: [28, 28], scale: [0.8, 1.0], p: 1.0}
  - {_target_: albumentations.Resize, height: 32, width: 32}
  - {_target_: pipeline.transforms.steps.pad_crop.PadCrop, rows: 32, columns: 32, padding: 0.125}
"""
TRAINING = ["search", "train", "evaluate", "report"]
SOURCE = """\
from pipeline.data.sources import Sample

TARGET = "label"


def samples(archive: object, facts: object) -> list[Sample]:
    return []
"""


def metrics(project: Project) -> dict[str, object]:
    files = (project.root / "artifacts").glob("*/digits_lenet5/metrics.json")  # git has those of others
    found = {path.parent.parent.name: path.read_text() for path in files}
    return {stage: json.loads(text) for stage, text in found.items()}


def stages_run(said: str) -> list[str]:
    """Return the names of the stages that ran, without their experiments."""
    return [name.partition("@")[0] for name in re.findall(r"Running stage '([\w@]+)", said)]


def runs_of(said: str, experiment: str) -> list[str]:
    """Return the names of the stages of one experiment that ran."""
    return re.findall(rf"Running stage '(\w+)@{experiment}'", said)


def change(project: Project, name: str, old: str, new: str) -> None:
    """Replace a text in a file of the project, which must be there."""
    path = project.root / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def shrink(project: Project, params: str = PARAMS) -> None:
    (project.root / "params.yaml").write_text(params)
    (project.root / "conf" / "augmentation" / "steps.yaml").write_text(STEPS)
    (project.root / "dvc.lock").unlink(missing_ok=True)


def pull_data(project: Project) -> None:
    """Get the bundled data from their store, as `make data` does."""
    project.run("dvc", "pull", "--quiet", "--remote", "store", "data.dvc")


def commit(project: Project) -> None:
    project.run("git", "add", "--all")
    project.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "results")


def copy_of(project: Project, target: Path) -> Project:
    """Return a copy of a project, to be changed."""
    shutil.copytree(project.root, target, symlinks=True)
    return Project(target)
