"""Verification: results equal those in git, or it is said which do not, by how much, and what else differs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipeline import verify as command
from pipeline.files import yaml_text
from pipeline.verify import record, verify
from tests.refusals import refused

METRICS = "artifacts/evaluate/{}/metrics.json"
HERE = {"processor": "A", "cores": "2", "torch": "2.13.0"}


class Checkout:
    """A git checkout with the results of some experiments."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@t")
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True)

    def write(self, **scores: float) -> None:
        """Write params.yaml, dvc.lock and the outs of experiments with a score each."""
        experiments = {name: {"data": "digits", "overrides": ""} for name in scores}
        (self.root / "params.yaml").write_text(yaml_text({"experiments": experiments}))
        stages: dict[str, Any] = {"compose": {"outs": [{"path": "artifacts/compose", "md5": "same"}]}}
        for name, score in scores.items():
            weights = f"artifacts/train/{name}/weights.pt"
            for path, text in ((weights, "weights"), (METRICS.format(name), json.dumps({"score": score}))):
                (self.root / path).parent.mkdir(parents=True, exist_ok=True)
                (self.root / path).write_text(text)
            stages[f"train@{name}"] = {"outs": [{"path": weights, "md5": f"weights {score}"}]}
            stages[f"evaluate@{name}"] = {"outs": [{"path": METRICS.format(name), "md5": f"metrics {score}"}]}
        (self.root / "dvc.lock").write_text(yaml_text({"stages": stages}))

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", "results")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """Return a checkout in which two experiments were recorded."""
    monkeypatch.setattr(command, "_environment", lambda: dict(HERE))
    made = Checkout(tmp_path)
    made.write(one=0.5, two=0.75)
    record(tmp_path)
    made.commit()
    return made


def test_equal_results_are_reproduced(checkout: Checkout) -> None:
    assert verify(checkout.root) == "reproduced: 2 of 2 experiments equal the recorded results"


def test_other_results_are_named_with_the_difference_of_the_score(checkout: Checkout) -> None:
    checkout.write(one=0.5, two=0.625)
    assert verify(checkout.root).splitlines() == [
        "two: other bytes in train/two/weights.pt, evaluate/two/metrics.json",
        "  score 0.6250, recorded 0.7500, difference -0.1250",
        "what differs between here and the recorded environment:",
        "  nothing that was recorded",
        "not all reproduced: 1 of 2 experiments equal the recorded results",
    ]


def test_other_environment_is_named_where_results_differ_and_not_elsewhere(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_environment", lambda: {**HERE, "processor": "B", "numpy": "2"})
    assert "processor" not in verify(checkout.root)
    checkout.write(one=0.25, two=0.75)
    said = verify(checkout.root)
    assert "  processor: B here, A recorded\n" in said
    assert "  numpy: 2 here, absent recorded\n" in said
    assert "torch" not in said


@pytest.mark.parametrize("absent", ["artifacts/train/two/weights.pt", METRICS.format("two")])
def test_results_that_are_not_there_are_not_reproduced(checkout: Checkout, absent: str) -> None:
    """As in a clone in which nothing has run: dvc.lock is that of git."""
    (checkout.root / absent).unlink()
    said = verify(checkout.root)
    assert "two: not reproduced here; run `dvc repro`" in said
    assert said.endswith("not all reproduced: 1 of 2 experiments equal the recorded results")


def test_experiment_that_git_does_not_have_yet_is_named(checkout: Checkout) -> None:
    checkout.write(one=0.5, two=0.75, three=0.125)
    assert "three: not recorded at HEAD; commit dvc.lock to record it" in verify(checkout.root)


def test_experiment_that_was_declared_otherwise_is_said_to_be(checkout: Checkout) -> None:
    declaration = checkout.root / "artifacts" / "compose" / "two.yaml"
    declaration.parent.mkdir()
    declaration.write_text("seed: 1\n")
    checkout.write(one=0.5, two=0.625)
    assert "  other declaration than at HEAD: git diff HEAD -- artifacts/compose/two.yaml" in verify(
        checkout.root
    )


def test_folder_without_recorded_results_is_refused(tmp_path: Path) -> None:
    with refused("dvc.lock", hint="run `dvc repro` in a git checkout that has committed it"):
        verify(tmp_path)


@pytest.mark.parametrize("name", ["dvc.lock", METRICS.format("two")])
@pytest.mark.parametrize("content", [b"", b"stages: {", b"{\0\0\0", b"\xff\xfe"])
def test_damaged_file_is_named(checkout: Checkout, name: str, content: bytes) -> None:
    checkout.write(one=0.5, two=0.625)
    (checkout.root / name).write_bytes(content)
    with refused(str(checkout.root / name)):
        verify(checkout.root)
