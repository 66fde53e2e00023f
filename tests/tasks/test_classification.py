"""Classification: scores worked by hand, and against scikit-learn and torchmetrics."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_auroc, multiclass_f1_score

from pipeline.data.facts import Facts
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.classification import cases
from pipeline.tasks.classification.demands import DEMANDS
from pipeline.tasks.classification.task import Classification, auroc, confusion
from tests.makers import data_section
from tests.refusals import refused

NAMES = ("cat", "dog", "eel")


def make_task(**changed: Any) -> Classification:
    settings: dict[str, Any] = {"classes": NAMES, "label_smoothing": 0.0, "class_weights": "none"}
    return Classification(**settings | changed)


def make_evidence(*, seed: int, count: int = 200, num_classes: int = 3, decimals: int = 16) -> np.ndarray:
    """Probabilities that lean towards the label; few decimals make ties."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, num_classes, count)
    logits = random.normal(size=(count, num_classes)) + 1.2 * np.eye(num_classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return np.column_stack((probabilities.round(decimals), labels))


# Six images, three of them cats. Guesses: cat, cat, dog | dog, dog | cat.
#                        cat  dog  eel  label
BY_HAND = np.array([[0.8, 0.1, 0.1, 0], [0.5, 0.3, 0.2, 0], [0.3, 0.6, 0.1, 0],
                    [0.3, 0.6, 0.1, 1], [0.1, 0.9, 0.0, 1],
                    [0.5, 0.1, 0.4, 2]])  # fmt: skip


def test_scores_are_those_worked_by_hand() -> None:
    assert confusion(BY_HAND).tolist() == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]
    scores = make_task().scores(BY_HAND)
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 2 / 2 + 0) / 3)
    # F1 = 2 hits / (true + guessed): cat 4 / (3 + 3), dog 4 / (2 + 3), eel 0 / (1 + 0).
    assert scores["macro_f1"] == pytest.approx((4 / 6 + 4 / 5 + 0) / 3)
    # Pairs won by the positive, ties half. Cats 0.8 0.5 0.3 against 0.3 0.1 0.5: 3 + 2.5 + 1.5 of 9;
    # dogs 0.6 0.9 against 0.1 0.3 0.6 0.1: 3.5 + 4 of 8; eel 0.4 against all: 5 of 5.
    assert scores["auroc"] == pytest.approx((7 / 9 + 7.5 / 8 + 1) / 3)
    # Confidences 0.8 hit | 0.5 hit, 0.5 miss | 0.6 miss, 0.6 hit | 0.9 hit, each group in a bin of its own.
    assert scores["calibration_error"] == pytest.approx((0.2 + 2 * 0.0 + 2 * 0.1 + 0.1) / 6)


@pytest.mark.parametrize("decimals", [16, 1], ids=["distinct", "many ties"])
@pytest.mark.parametrize("seed", range(3))
def test_scores_agree_with_scikit_learn(seed: int, decimals: int) -> None:
    evidence = make_evidence(seed=seed, decimals=decimals, num_classes=4)
    probabilities, labels = evidence[:, :-1], evidence[:, -1].astype(int)
    guesses = probabilities.argmax(axis=1)
    scores = make_task(classes="abcd").scores(evidence)
    assert scores["accuracy"] == pytest.approx(metrics.accuracy_score(labels, guesses))
    assert scores["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(labels, guesses))
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(labels, guesses, average="macro"))
    np.testing.assert_array_equal(confusion(evidence), metrics.confusion_matrix(labels, guesses))
    # scikit-learn's own mean over classes refuses rows that do not add up to 1, as rounded ones do.
    areas = [metrics.roc_auc_score(labels == index, probabilities[:, index]) for index in range(4)]
    assert scores["auroc"] == pytest.approx(np.mean(areas))


def test_auroc_agrees_with_scikit_learns_mean_and_torchmetrics() -> None:
    evidence = make_evidence(seed=5)
    probabilities, labels = evidence[:, :-1], evidence[:, -1].astype(int)
    found = auroc(evidence)
    one_vs_rest = metrics.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert found == pytest.approx(one_vs_rest)
    by_curve = multiclass_auroc(torch.tensor(probabilities), torch.tensor(labels), num_classes=3)
    assert found == pytest.approx(float(by_curve), abs=1e-6)


def test_auroc_is_half_where_all_are_equal_and_is_blind_to_the_scale() -> None:
    evidence = make_evidence(seed=1)
    equal = evidence.copy()
    equal[:, :-1] = 1 / 3
    assert auroc(equal) == 0.5
    squared = np.column_stack((evidence[:, :-1] ** 2, evidence[:, -1]))
    assert auroc(squared) == pytest.approx(auroc(evidence))


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_is_the_gap_over_fifteen_bins(seed: int) -> None:
    evidence = make_evidence(seed=seed, count=500)
    probabilities = evidence[:, :-1]
    trust, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == evidence[:, -1]
    gap = 0.0
    for low in range(15):
        inside = (trust >= low / 15) & (trust < (low + 1) / 15)
        if inside.any():
            gap += inside.mean() * abs(trust[inside].mean() - hits[inside].mean())
    assert make_task().scores(evidence)["calibration_error"] == pytest.approx(gap, abs=1e-6)


def test_calibration_error_of_the_certain_is_their_share_of_mistakes() -> None:
    certain = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 1], [0, 0, 1.0, 2], [1.0, 0, 0, 1]])
    assert make_task().scores(certain)["calibration_error"] == pytest.approx(1 / 4)


def test_class_without_images_is_left_out_of_recall_and_auroc() -> None:
    # Nobody is an eel, but one dog is called an eel: it counts in F1 (as 0) and nowhere else.
    evidence = np.array([[0.9, 0.1, 0.0, 0], [0.7, 0.2, 0.1, 0], [0.1, 0.8, 0.1, 1], [0.1, 0.3, 0.6, 1]])
    scores = make_task().scores(evidence)
    assert scores["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)
    assert scores["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert scores["auroc"] == 1.0


def test_absent_classes_are_scored_as_scikit_learn_and_torchmetrics_do() -> None:
    """Four classes: 0 and 1 have images, 2 is named but has none, 3 is neither."""
    evidence = make_evidence(seed=3, num_classes=4)
    evidence = evidence[evidence[:, -1] < 2]
    evidence[:, 3] = 0
    evidence[:, :-1] /= evidence[:, :-1].sum(axis=1, keepdims=True)
    probabilities, labels = evidence[:, :-1], evidence[:, -1].astype(int)
    guesses = probabilities.argmax(axis=1)
    assert set(guesses) == {0, 1, 2}
    scores = make_task(classes="abcd").scores(evidence)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        wanted = metrics.balanced_accuracy_score(labels, guesses)
    assert scores["balanced_accuracy"] == pytest.approx(wanted)
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(labels, guesses, average="macro"))
    by_torchmetrics = multiclass_f1_score(torch.tensor(guesses), torch.tensor(labels), num_classes=4)
    assert scores["macro_f1"] == pytest.approx(float(by_torchmetrics))
    # scikit-learn refuses the mean over classes of which one is absent; ours is over the classes that are there.
    with pytest.raises(ValueError, match=r"[Nn]umber of classes"):
        metrics.roc_auc_score(labels, probabilities, multi_class="ovr")
    areas = [metrics.roc_auc_score(labels == index, probabilities[:, index]) for index in range(2)]
    assert scores["auroc"] == pytest.approx(np.mean(areas))


def test_class_that_is_neither_true_nor_named_counts_nowhere() -> None:
    evidence = np.array([[0.9, 0.1, 0.0, 0], [0.7, 0.2, 0.1, 0], [0.1, 0.8, 0.1, 1], [0.6, 0.4, 0.0, 1]])
    scores = make_task().scores(evidence)
    assert scores["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert scores["balanced_accuracy"] == pytest.approx((1 + 1 / 2) / 2)


def test_class_with_images_that_is_never_named_scores_zero() -> None:
    evidence = np.array([[0.9, 0.1, 0.0, 0], [0.1, 0.8, 0.1, 1], [0.6, 0.4, 0.0, 2]])
    scores = make_task().scores(evidence)
    assert scores["balanced_accuracy"] == pytest.approx(2 / 3)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_auroc_of_a_single_class_is_not_defined() -> None:
    evidence = np.array([[0.9, 0.1, 0.0, 0], [0.7, 0.2, 0.1, 0]])
    scores = make_task().scores(evidence)
    assert math.isnan(scores["auroc"])
    assert scores["accuracy"] == scores["balanced_accuracy"] == 1.0


def test_evidence_of_batches_scores_as_that_of_the_whole() -> None:
    torch.manual_seed(0)
    outputs, targets = torch.randn(50, 3), torch.randint(0, 3, (50,))
    task = make_task()
    whole = task.evidence(outputs, {"target": targets})
    parts = [
        task.evidence(each[0], {"target": each[1]})
        for each in zip(outputs.split(16), targets.split(16), strict=True)
    ]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=0)
    assert whole.shape == (50, 4)
    torch.testing.assert_close(whole[:, :-1].sum(dim=1), torch.ones(50).double())
    np.testing.assert_array_equal(whole[:, -1].numpy(), targets.numpy())


@pytest.mark.parametrize("order_seed", range(3))
def test_scores_do_not_depend_on_the_order_of_images(order_seed: int) -> None:
    evidence = make_evidence(seed=2, decimals=1)
    shuffled = np.random.default_rng(order_seed).permutation(evidence)
    assert make_task().scores(shuffled) == pytest.approx(make_task().scores(evidence))


def test_scores_of_a_diverged_network_are_numbers_or_nan_but_no_exception() -> None:
    task = make_task()
    evidence = task.evidence(torch.full((4, 3), float("nan")), {"target": torch.tensor([0, 1, 2, 0])})
    assert set(task.scores(evidence.numpy())) == set(task.scores(BY_HAND))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_entropy_worked_by_hand(smoothing: float) -> None:
    outputs = torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    truth = torch.tensor([0, 2])
    logs = outputs.double().numpy() - np.log(np.exp(outputs.double().numpy()).sum(axis=1, keepdims=True))
    wanted = (1 - smoothing) * np.eye(3)[truth.numpy()] + smoothing / 3
    loss = make_task(label_smoothing=smoothing).loss(outputs, {"target": truth.to(torch.uint8)})
    assert float(loss) == pytest.approx(-(wanted * logs).sum(axis=1).mean(), rel=1e-6)


def test_loss_of_half_precision_outputs_is_computed_in_full() -> None:
    outputs, targets = (
        torch.randn(8, 3, generator=torch.manual_seed(0)),
        torch.tensor([0, 1, 2, 0, 1, 2, 0, 1]),
    )
    loss = make_task().loss(outputs.bfloat16(), {"target": targets})
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, functional.cross_entropy(outputs.bfloat16().float(), targets))


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2.0])
def test_smoothing_out_of_range_is_refused(smoothing: float) -> None:
    text = f"task.label_smoothing must be at least 0 and below 1, got {smoothing}"
    with refused("task.label_smoothing", got=smoothing, text=text):
        make_task(label_smoothing=smoothing)


@pytest.mark.parametrize(("name", "value"), [("background", "cat"), ("ignore_label", 255)])
def test_facts_about_masks_are_refused(name: str, value: str | int) -> None:
    text = f"data.{name} must be null for classification, got {value!r}; it belongs to masks"
    with refused(f"data.{name}", got=value, text=text):
        DEMANDS.check(Facts(**data_section("data.zip", **{name: value})))


def test_probabilities_are_what_is_decoded_and_views_are_averaged_as_probabilities() -> None:
    first, second = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([[-1.0, 0.5, 3.0]])
    task = make_task()
    mean = (first.softmax(dim=1) + second.softmax(dim=1)) / 2
    torch.testing.assert_close(task.decode(task.merge([first, second], [False, True])), mean)
    assert task.decode(first).sum() == pytest.approx(1)


def test_mistakes_are_shown_with_the_names_of_their_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn: dict[str, Any] = {}
    monkeypatch.setattr(cases, "draw_sheet", lambda images, path, **more: drawn.update(more, num=len(images)))
    files = [
        f"test/{name}/scan_{index}.png"
        for index, name in enumerate(["cat", "cat", "cat", "dog", "dog", "eel"])
    ]
    images = np.zeros((6, 4, 4, 1), np.uint8)
    labels = BY_HAND[:, -1].astype(int)
    cases.draw(make_task(), Evaluated(BY_HAND, labels, images, labels, files), tmp_path)
    assert drawn == {"num": 2, "captions": ["cat as dog 60%\nscan_2.png", "eel as cat 50%\nscan_5.png"]}


def test_mistakes_are_shown_with_the_maps_of_the_predicted_and_of_the_true_class(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn: dict[str, Any] = {}
    asked: list[tuple[list[int], list[int]]] = []

    def explain(indices: Sequence[int], classes: Sequence[int]) -> Any:
        asked.append(([*indices], [*classes]))
        return np.full((len(indices), 4, 4), len(asked) - 1.0)

    monkeypatch.setattr(
        cases, "draw_sheet", lambda images, path, **more: drawn.update({path.stem: (images, more)})
    )
    images, labels = np.zeros((6, 4, 4, 1), np.uint8), BY_HAND[:, -1].astype(int)
    evaluated = Evaluated(BY_HAND, labels, images, labels, ["a.png"] * 6, explain=explain)
    cases.draw(make_task(), evaluated, tmp_path)
    assert asked == [([2, 5], [1, 0]), ([2, 5], [0, 2])], "cat as dog, eel as cat"
    cells, more = drawn["mistakes_maps"]
    assert more == {"captions": ["for dog", "for cat", "for cat", "for eel"]}
    lowest, highest = cells[0][0, 0].astype(int), cells[1][0, 0].astype(int)
    assert lowest[2] > lowest[0], "blue where nothing speaks for the class"
    assert highest[0] > highest[2], "red where most does"
