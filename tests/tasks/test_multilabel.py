"""Several labels per image: scores as scikit-learn computes them, and what is left out of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics

from pipeline.data.facts import Facts
from pipeline.declaration.composition import compose_sections
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.demands import load_demands
from pipeline.tasks.multilabel import cases
from pipeline.tasks.multilabel.task import Multilabel
from tests.makers import data_section
from tests.refusals import refused

NAMES = ["ant", "bee", "cow", "dog"]
TASK = Multilabel(classes=NAMES, separator=None)
DEMANDS = load_demands({"_target_": "pipeline.tasks.multilabel.task.Multilabel"})


def evidence_of(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    batch = {"target": torch.from_numpy(labels)}
    return TASK.evidence(torch.from_numpy(logits), batch).numpy()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("decimals", [0, 8])
def test_scores_are_those_of_scikit_learn(seed: int, decimals: int) -> None:
    random = np.random.default_rng(seed)
    labels = (random.random((30, 4)) < random.random(4) * 0.8 + 0.1).astype(np.uint8)
    labels[0], labels[1] = 0, 1  # so that every class is there, and absent
    logits = np.round(random.normal(size=(30, 4)) + labels, decimals)
    guesses = logits >= 0
    scores = TASK.scores(evidence_of(logits, labels))
    assert scores == pytest.approx(
        {
            "mean_ap": metrics.average_precision_score(labels, logits, average="macro"),
            "macro_f1": metrics.f1_score(labels, guesses, average="macro", zero_division=np.nan),
            "micro_f1": metrics.f1_score(labels, guesses, average="micro"),
            "auroc": metrics.roc_auc_score(labels, logits, average="macro"),
            "exact_match": metrics.accuracy_score(labels, guesses),
        },
        abs=1e-12,
    )


def test_classes_that_no_image_or_every_image_has_are_left_out_and_named() -> None:
    labels = np.array([[1, 0, 1, 0], [0, 0, 1, 0], [1, 0, 1, 1], [0, 0, 1, 0]], np.uint8)
    logits = np.array([[2.0, -1, 1, -1], [3, -1, 1, -2], [1, 1, 1, -3], [-1, -1, 1, -4]])
    evidence = evidence_of(logits, labels)
    scores = TASK.scores(evidence)
    precisions = [metrics.average_precision_score(labels[:, place], logits[:, place]) for place in (0, 2, 3)]
    areas = [metrics.roc_auc_score(labels[:, place], logits[:, place]) for place in (0, 3)]
    assert scores["mean_ap"] == pytest.approx(np.mean(precisions))
    assert scores["auroc"] == pytest.approx(np.mean(areas))
    # The bee, which is only predicted, scores 0.
    assert scores["macro_f1"] == pytest.approx(np.mean([4 / 5, 0, 1, 0]))
    assert TASK.remarks(evidence) == [
        "classes that no image has, left out of mean AP and AUROC: 1 (bee)",
        "classes that every image has, left out of AUROC: 1 (cow)",
    ]


def test_images_without_labels_are_counted_and_scores_without_any_are_not_defined() -> None:
    labels, logits = np.zeros((3, 4), np.uint8), np.full((3, 4), -1.0)
    evidence = evidence_of(logits, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = TASK.scores(evidence)
    assert scores.pop("exact_match") == 1
    assert np.isnan(list(scores.values())).all()
    assert TASK.remarks(evidence)[-1] == "images without a label: 3 of 3"


def test_loss_is_the_binary_cross_entropy_by_hand() -> None:
    labels, logits = torch.tensor([[1, 0, 0, 1]]), torch.tensor([[0.5, -1.0, 2.0, -0.25]])
    probabilities = 1 / (1 + np.exp(-logits.numpy()))
    by_hand = -np.log(np.where(labels.numpy(), probabilities, 1 - probabilities)).mean()
    assert float(TASK.loss(logits, {"target": labels})) == pytest.approx(by_hand, rel=1e-6)


def test_views_are_merged_by_their_mean_probability_however_sure_they_are() -> None:
    views = [torch.tensor([[0.0, 200.0, -200.0, 3.0]]), torch.tensor([[1.0, 150.0, -200.0, -200.0]])]
    merged = TASK.merge(views, [False, True])
    assert torch.isfinite(merged).all()
    wanted = torch.stack([each.double().sigmoid() for each in views]).mean(dim=0)
    torch.testing.assert_close(TASK.decode(merged).double(), wanted, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("counts", "problem"),
    [([0, 0, 0, 0], "has a label, so mean_ap cannot select an epoch"), ([1, 0, 2, 0], None)],
)
def test_validation_without_labels_is_refused_and_classes_without_one_are_named(
    counts: Sequence[int], problem: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = Facts(**data_section("mine", name=f"set_{sum(counts)}", classes=NAMES))
    num_images = {"train": [5, 5, 5, 5], "val": counts, "test": [0, 0, 0, 0]}
    if problem:
        with refused("data.split", got="folders", hint="move images that have some into it") as caught:
            DEMANDS.check_present(num_images, facts, select=None)
        assert caught.value.problem == f"no image of the val split of mine {problem}"
    else:
        DEMANDS.check_present(num_images, facts, select=None)
        assert "classes that no image of the val split has: bee, dog; their" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["background", "ignore_label"])
def test_facts_of_masks_are_refused(name: str) -> None:
    facts = Facts(
        **data_section("mine", classes=NAMES, **{name: {"background": "ant", "ignore_label": 255}[name]})
    )
    with refused(f"data.{name}", allowed="null for multilabel", hint="it belongs to masks"):
        DEMANDS.check(facts)


def test_rows_of_cases_hold_names_joined_and_the_number_of_mistakes(tmp_path: Path) -> None:
    labels = np.array([[1, 0, 1, 0], [0, 0, 0, 0]], np.uint8)
    logits = np.array([[2.0, 1, -1, -1], [-1, -1, -1, -1]])
    decoded = 1 / (1 + np.exp(-logits))
    images = np.zeros((2, 4, 4, 1), np.uint8)
    evaluated = Evaluated(evidence_of(logits, labels), decoded, images, labels, ["a.png", "b.png"])
    for separator, joined in ((None, "ant|cow"), ("; ", "ant; cow")):
        task = Multilabel(classes=NAMES, separator=separator)
        first, second = cases.rows(task, evaluated)
        assert first == ("a.png", joined, joined.replace("cow", "bee"), "2")
        assert second == ("b.png", "", "", "0")
    assert cases._caption(TASK, labels[0], np.array([False, True, True, False])) == "+bee -cow"


def test_images_with_wrong_labels_are_shown_with_the_map_of_the_most_wrong_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn: dict[str, Any] = {}
    asked: list[tuple[list[int], list[int]]] = []

    def explain(indices: Sequence[int], classes: Sequence[int]) -> Any:
        asked.append(([*indices], [*classes]))
        return np.zeros((len(indices), 4, 4))

    monkeypatch.setattr(cases, "draw_sheet", lambda images, path, **more: drawn.update({path.stem: more}))
    labels = np.array([[1, 0, 1, 0], [0, 0, 0, 0]], np.uint8)
    logits = np.array([[2.0, 1, -3, -1], [-1, -1, -1, -1]])  # bee is not true, cow is missed by more
    decoded, images = 1 / (1 + np.exp(-logits)), np.zeros((2, 4, 4, 1), np.uint8)
    evaluated = Evaluated(
        evidence_of(logits, labels), decoded, images, labels, ["a.png", "b.png"], explain=explain
    )
    cases.draw(TASK, evaluated, tmp_path)
    assert asked == [([0], [2])]
    assert drawn["wrong_labels_maps"] == {"captions": ["for cow"]}


def test_all_scores_lie_between_0_and_1() -> None:
    demands = load_demands(compose_sections(["task=multilabel"])["task"])
    facts = Facts(**data_section("data.zip"))
    assert {demands.bounds_of(name) for name in demands.scores(facts)} == {(0.0, 1.0)}
