"""Each planted fault is found by the check that names it; the declared experiments on digits have no alarm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.sanity.checks import check_names
from pipeline.sanity.finding import FAULT, NOT_APPLICABLE, OK, WARNING
from pipeline.sanity.report import run_checks
from tests.sanity.planted import (
    Files,
    copy_test_images,
    declare,
    rotate_classes,
    shuffle_labels,
    write_digits,
)

TANH = ("model.activation=tanh", "model.init={normal: 1.0}")
SOFTMAX = "model.head=[{linear: outputs}, {module: torch.nn.Softmax, dim: 1}]"
# Fault -> overrides, check that finds it, verdict, words of its figure or advice.
SETTINGS: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    "a rate 100 times too high": (("optimizer.lr=3.0",), "rate", FAULT, "the rate is too high"),
    "a rate 100 times too low": (("optimizer.lr=3.0e-4",), "rate", WARNING, "the rate is too low"),
    "a layer of zeros": (
        ("+model.layers.6.init=zero",),
        "gradients",
        FAULT,
        "the weights of layers[6] are 0",
    ),
    "deviation 1 under tanh": (TANH, "activations", FAULT, "of the values are saturated"),
    "pixels as they are": (("preprocess=none",), "inputs", FAULT, "pixels are not normalised"),
    "softmax twice": ((SOFTMAX,), "outputs", FAULT, "softmax is applied twice"),
}
IMAGES: dict[str, tuple[Callable[[Files], Files], str, str, str]] = {
    "labels shuffled": (shuffle_labels, "signal", FAULT, "are labels shuffled"),
    "train and test overlap": (copy_test_images, "overlap", FAULT, "train/0/copy_"),
    "classes of val in another order": (rotate_classes, "class_order", FAULT, "0 is taken for 9"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.mark.parametrize("fault", SETTINGS)
def test_fault_of_settings_is_found_and_named(fault: str, project: Path) -> None:
    overrides, check, verdict, words = SETTINGS[fault]
    finding = run_checks(declare(*overrides), root=project, names=[check])[check]
    assert finding.verdict == verdict
    assert words in f"{finding.figure} {finding.advice}"


@pytest.mark.parametrize("fault", IMAGES)
def test_fault_of_images_is_found_and_named(fault: str, project: Path) -> None:
    change, check, verdict, words = IMAGES[fault]
    root = write_digits(project / f"{check}.zip", change)
    finding = run_checks(declare(root=root), root=project, names=[check])[check]
    assert finding.verdict == verdict
    assert words in f"{finding.figure} {finding.advice}"


def test_every_check_that_can_fail_runs_on_the_declared_digits_without_alarm(project: Path) -> None:
    findings = run_checks(declare(), root=project)
    assert list(findings) != []
    assert sorted(findings) == check_names()
    alarms = {
        name: found.figure for name, found in findings.items() if found.verdict not in (OK, NOT_APPLICABLE)
    }
    assert alarms == {}
    assert [name for name, found in findings.items() if found.verdict == NOT_APPLICABLE] == ["norms"]


def test_searched_digits_have_no_alarm(project: Path) -> None:
    overrides = ("experiment=digits_search", "trainer.threads=1")
    from pipeline.declaration.composition import compose

    findings = run_checks(
        compose(list(overrides)), root=project, names=["rate", "updates", "activations", "signal"]
    )
    assert {found.verdict for found in findings.values()} == {OK}


def test_same_declaration_gets_the_same_findings(project: Path) -> None:
    names = ["rate", "updates", "gradients", "signal", "shuffled"]
    first, second = (run_checks(declare(), root=project, names=names) for _ in range(2))
    assert {name: found.numbers for name, found in first.items()} == {
        name: found.numbers for name, found in second.items()
    }
