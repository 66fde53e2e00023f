"""What checks measure, against what can be worked out by hand."""

from __future__ import annotations

from math import isnan, log
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.sanity.finding import FAULT, OK, WARNING
from pipeline.sanity.layers import measure_activity
from pipeline.sanity.rates import suggest_range
from pipeline.sanity.report import run_checks
from pipeline.sanity.short import per_image, score, set_training, train_briefly
from pipeline.sanity.subject import Subject
from pipeline.training.assemble import get_network
from tests.sanity.planted import declare
from tests.tasks.test_contract import declare as declare_tiny


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return Subject(declare("task.label_smoothing=0"), root=tmp_path_factory.mktemp("digits"))


def test_chance_of_ten_classes_is_the_logarithm_of_ten(digits: Subject) -> None:
    finding = run_checks(digits.declaration, root=digits.prepared.folder.parents[2], names=["start"])["start"]
    assert finding.numbers["chance"] == pytest.approx(log(10))
    losses = finding.numbers["loss"]
    assert finding.numbers["standard_errors"] > 0
    assert losses > log(10)


def test_loss_of_each_image_is_that_of_torch(digits: Subject) -> None:
    batch = digits.batch(digits.plain, range(5))
    outputs = torch.randn(5, 10, generator=torch.manual_seed(0))
    expected = nn.functional.cross_entropy(outputs, batch["target"].long(), reduction="none")
    assert per_image(digits, outputs, batch) == pytest.approx(expected.numpy(), rel=1e-6)


def test_prior_is_the_frequency_of_the_classes(digits: Subject) -> None:
    counts = np.bincount(np.asarray(digits.plain.targets)[digits.spread(digits.plain, 200)], minlength=10)
    found = digits.prior.outputs[0].softmax(dim=0).numpy()
    assert found == pytest.approx(counts / counts.sum(), abs=0.01)


def test_update_of_plain_descent_is_the_rate_times_gradient_over_weight(digits: Subject) -> None:
    declaration = declare(
        "optimizer.momentum=0", "optimizer.nesterov=false", "optimizer.weight_decay=0", "optimizer.lr=0.01"
    )
    subject = Subject(declaration, root=digits.prepared.folder.parents[2])
    subject.num_steps = 1
    batch = subject.batch(subject.plain, range(8))
    trained = train_briefly(subject, subject.build(), [batch])
    model = subject.build()
    subject.task.loss(model(batch["image"]), batch).backward()
    for layer in subject.layers(model):
        (weight,) = layer.weights
        assert weight.grad is not None
        expected = 0.01 * float(weight.grad.norm() / weight.detach().norm())
        assert trained.updates[layer.where] == pytest.approx([expected], rel=1e-3)


def test_dead_and_saturated_shares_are_counted(digits: Subject) -> None:
    model = digits.build()
    layers = digits.layers(model)
    with torch.no_grad():  # of the 6 filters, 3 are always negative before the ReLU
        layers[0].weights[0][:3] = 0
        next(each for each in layers[0].module.parameters() if each.ndim == 1)[:3] = -1
    assert measure_activity(digits, model)[0].dead == pytest.approx(0.5)
    tanh = Subject(declare("model.activation=tanh"), root=digits.prepared.folder.parents[2])
    model = tanh.build()
    with torch.no_grad():  # every value is tanh(5), but for the pixels
        for layer in tanh.layers(model):
            layer.weights[0].mul_(1e-6)
            next(each for each in layer.module.parameters() if each.ndim == 1).fill_(5)
    found = measure_activity(tanh, model)
    assert [each.saturated for each in found[:-1]] == [1.0] * 4
    assert isnan(found[-1].saturated)
    assert found[0].mean == pytest.approx(np.tanh(5), abs=1e-5)


def test_measuring_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    subject = Subject(declare("model.norm=batch"), root=tmp_path)
    model = subject.build().eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    measure_activity(subject, model)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())


def test_drops_are_off_without_regularisation_and_frozen_layers_stay(digits: Subject) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.BatchNorm1d(2))
    model[0].requires_grad_(False)
    set_training(model)
    assert [module.training for module in model] == [False, True, True]
    set_training(model, is_regularised=False)
    assert [module.training for module in model] == [False, False, True]


def test_range_of_a_made_curve() -> None:
    """The loss stays at 2, falls from 1e-3 on to 1 at 1e-1, and rises then."""
    rates = [10 ** (-6 + 0.1 * step) for step in range(70)]
    losses = [2 - 0.5 * np.clip(np.log10(rate) + 3, 0, 2) + 3 * max(np.log10(rate) + 1, 0) for rate in rates]
    found = suggest_range(rates, losses)
    assert 1e-3 < found.low < 1e-2  # the running mean lags behind by some steps, that is half a decade
    assert 1e-1 <= found.high < 5e-1


def test_a_loss_that_only_varies_has_no_range() -> None:
    losses = (2 + 0.1 * np.random.default_rng(0).standard_normal(70)).tolist()
    assert not suggest_range([10 ** (-6 + 0.1 * step) for step in range(70)], losses).has_range


@pytest.mark.parametrize(
    "losses", [[2.0], [2.0, 9.0], [2.0, 1.0, 9.0, 99.0], [float("inf")], [2.0, float("inf"), 3.0]]
)
def test_a_test_that_ends_at_once_has_no_range(losses: list[float]) -> None:
    assert not suggest_range([10 ** (-6 + 0.1 * step) for step in range(len(losses))], losses).has_range


def test_batch_norms_that_lag_behind_are_told(tmp_path: Path) -> None:
    lagging = declare("model.norm=batch", "trainer.norm_momentum=0.0001")
    finding = run_checks(lagging, root=tmp_path, names=["norms"])["norms"]
    assert finding.verdict in (WARNING, FAULT)
    assert "network.layers" in finding.figure
    assert run_checks(declare("model.norm=batch"), root=tmp_path, names=["norms"])["norms"].verdict == OK


def test_scoring_leaves_the_short_training_as_it_was(tmp_path: Path) -> None:
    subject = Subject(declare("model.norm=batch"), root=tmp_path)
    before = {key: value.clone() for key, value in subject.short.model.state_dict().items()}
    assert subject.outcome.score > 0
    assert all(torch.equal(value, before[key]) for key, value in subject.short.model.state_dict().items())


def test_scores_are_those_of_the_whole_split(digits: Subject) -> None:
    model = digits.build()
    batch = digits.batch(digits.validation, range(30))
    found = score(digits, model, batch)
    with torch.no_grad():
        right = model.eval()(batch["image"]).argmax(dim=1) == batch["target"]
    assert found.score == pytest.approx(float(right.float().mean()))


def test_images_that_are_too_large_are_cropped_with_their_targets(tmp_path: Path) -> None:
    subject = Subject(declare("experiment=brain_unet"), root=tmp_path)
    assert subject.sides == (48, 48)
    whole = subject.batch(subject.plain, [0])
    cropped = subject.batch(subject.plain, [0], sides=(48, 48))
    assert torch.equal(cropped["image"], whole["image"][..., 72:120, 56:104])
    assert torch.equal(cropped["target"], whole["target"][..., 72:120, 56:104])
    assert subject.batch(subject.plain, [0], sides=(999, 48))["image"].shape == (1, 1, 192, 48)
    assert get_network(subject.build())(cropped["image"].float()).shape == (1, 3, 48, 48)


def test_images_stay_whole_where_the_mean_image_is_subtracted(tmp_path: Path) -> None:
    subject = Subject(declare("experiment=brain_unet", "preprocess=mean_image"), root=tmp_path)
    assert subject.sides is None


def test_tiny_data_of_noise_are_said_to_carry_no_signal(tmp_path: Path) -> None:
    finding = run_checks(declare_tiny("classification", tmp_path), root=tmp_path, names=["signal"])["signal"]
    assert finding.verdict == FAULT


def test_batches_have_as_many_images_of_each_class_as_the_sampler_says(digits: Subject) -> None:
    declaration = declare("trainer.sampler={per_class: 4}", "trainer.batch_size=24")
    subject = Subject(declaration, root=digits.prepared.folder.parents[2])
    batches = list(subject.batches(subject.training, 30))
    assert len(batches) == 30, "of more than one epoch"
    for batch in batches:
        labels, counts = torch.unique(batch["target"], return_counts=True)
        assert (len(labels), set(counts.tolist())) == (6, {4})
