"""Landmarks: losses of visible points alone, errors in units of each image, and maps read by their centre of mass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.data.facts import Facts
from pipeline.tasks.cases import Evaluated
from pipeline.tasks.landmarks import cases
from pipeline.tasks.landmarks.demands import DEMANDS
from pipeline.tasks.landmarks.predictions import present
from pipeline.tasks.landmarks.task import Landmarks
from pipeline.tasks.predictions import Predicted
from tests.makers import data_section
from tests.refusals import refused

NAMES = ["left", "right", "nose"]
SETTINGS: dict[str, Any] = {"outputs": "coordinates", "range": "linear", "unit": "diagonal"}
TARGET = torch.tensor(
    [[[2.0, 4.0, 1], [8.0, 12.0, 1], [4.0, 6.0, 1]], [[2.0, 2.0, 1], [0, 0, 0], [5.0, 6.0, 1]]]
)
HIDDEN = torch.zeros(1, 3, 3)


def task(**settings: Any) -> Landmarks:
    pairs = settings.pop("swapped_points", {"left": "right"})
    facts = {"points": NAMES, "swapped_points": pairs, "shape": [1, 20, 10], "resize": "squash"}
    return Landmarks(**facts, **{**SETTINGS, **settings})


def outputs_of(points: Tensor, *, is_sigmoid: bool = False) -> Tensor:
    """Return coordinates as outputs, for images of 20 rows and 10 columns."""
    shares = points[..., :2] / torch.tensor([10.0, 20.0])
    return (shares.logit() if is_sigmoid else shares - 0.5).flatten(1)


@pytest.mark.parametrize("range_", ["linear", "sigmoid"])
def test_outputs_are_shares_of_the_sides(range_: str) -> None:
    made = task(range=range_)
    points = torch.tensor([[[2.0, 4.0], [8.0, 12.0], [4.0, 6.0]]])
    decoded = made.decode(outputs_of(points, is_sigmoid=range_ == "sigmoid"))
    torch.testing.assert_close(decoded, torch.cat((points, torch.ones(1, 3, 1)), dim=2))
    middle = made.decode(torch.zeros(1, 6))[0, :, :2]
    assert middle.tolist() == [[5, 10]] * 3


def test_linear_coordinates_may_lie_outside_and_sigmoid_ones_may_not() -> None:
    far = torch.full((1, 6), 3.0)
    assert (task().decode(far)[..., 0] > 10).all()
    assert (task(range="sigmoid").decode(far)[..., 0] < 10).all()


def test_soft_argmax_is_the_centre_of_mass_of_a_map() -> None:
    maps = torch.full((1, 3, 4, 5), -1000.0)
    maps[0, 0, 1, 2] = 0  # one pixel: its middle, at columns of 2 and rows of 5 pixels
    maps[0, 1, 0, 0] = maps[0, 1, 3, 4] = 0  # the middle between two corners
    maps[0, 2] = 0  # everywhere
    decoded = task(outputs="heatmaps").decode(maps)
    expected = [[5, 7.5, 1], [5, 10, 0.5], [5, 10, 1 / 20]]
    torch.testing.assert_close(decoded, torch.tensor([expected]))


def test_loss_is_of_visible_points_alone() -> None:
    made, outputs = task(), torch.zeros(2, 6, requires_grad=True)
    loss = made.loss(outputs, {"target": TARGET})
    loss.backward()
    assert outputs.grad is not None
    assert (outputs.grad.view(2, 3, 2)[TARGET[..., 2] > 0] != 0).any(dim=1).all()
    assert (outputs.grad.view(2, 3, 2)[TARGET[..., 2] == 0] == 0).all()
    # Above a bend of 0.01, smooth L1 is |error| - 0.005; of ten coordinates, in shares of the sides.
    shares = TARGET[..., :2] / torch.tensor([10.0, 20.0]) - 0.5
    errors = shares.abs()[TARGET[..., 2] > 0].flatten()
    expected = torch.where(errors > 0.01, errors - 0.005, errors.square() / 0.02).sum() / 10
    torch.testing.assert_close(loss.detach(), expected)
    assert float(made.loss_weight(outputs, {"target": TARGET})) == 5


def test_loss_of_images_without_visible_points_is_zero_with_gradients_of_zero() -> None:
    outputs = torch.ones(1, 6, requires_grad=True)
    loss = task().loss(outputs, {"target": HIDDEN})
    loss.backward()
    assert float(loss.detach()) == 0
    assert outputs.grad is not None
    assert (outputs.grad == 0).all()


def evidence_of(found: Tensor, target: Tensor, **settings: Any) -> np.ndarray:
    return task(**settings).evidence(outputs_of(found), {"target": target}).numpy()


def test_errors_are_divided_by_the_diagonal_of_the_visible_points() -> None:
    found = TARGET.clone()
    found[0, 0, 0] += 3  # the box of the first image has sides of 6 and 8, that of the second 3 and 4
    found[1, 2, 1] -= 1
    expected = [[0.3, 0, 0], [0, -1, 0.2]]
    evidence = evidence_of(found, TARGET)
    np.testing.assert_allclose(evidence, expected, atol=1e-6)
    scores = task().scores(evidence)
    assert scores["nme"] == pytest.approx((0.1 + 0.1) / 2, abs=1e-6)
    assert scores["pck"] == pytest.approx(3 / 5)
    assert scores["failure_rate"] == pytest.approx(
        float((task().image_scores(evidence) > 0.1).mean()), abs=1e-9
    )
    assert task().scores(np.array([[0.3, 0, 0.1], [0, -1, 0]]))["failure_rate"] == 0.5


def test_errors_are_divided_by_the_distance_of_a_pair_where_both_are_visible() -> None:
    evidence = evidence_of(TARGET + torch.tensor([0.0, 1.0, 0.0]), TARGET, unit=["left", "right"])
    np.testing.assert_allclose(evidence, [[0.1] * 3, [-1] * 3], atol=1e-6)


def test_images_without_visible_points_are_left_out_and_counted() -> None:
    both = torch.cat((TARGET, HIDDEN))
    evidence = evidence_of(both + torch.tensor([1.0, 0.0, 0.0]), both)
    assert np.isnan(task().image_scores(evidence)).tolist() == [False, False, True]
    assert task().scores(evidence)["nme"] == pytest.approx((0.1 + 0.2) / 2, abs=1e-6)
    assert task().remarks(evidence) == [
        "points that are not visible, or in images without a unit to divide errors by, and left out: 4 of 9; images "
        "left out: 1 of 3"
    ]
    assert task().remarks(evidence[:1]) == []
    assert all(np.isnan(value) for value in task().scores(evidence[2:]).values())


@pytest.mark.parametrize("swapped", [{"left": "right"}, {}])
@pytest.mark.parametrize("range_", ["linear", "sigmoid"])
def test_mirrored_coordinates_are_mirrored_back(range_: str, swapped: dict[str, str]) -> None:
    made = task(range=range_, swapped_points=swapped)
    points = torch.tensor([[[2.0, 4.0], [8.0, 12.0], [4.0, 6.0]]])
    mirrored = points * torch.tensor([-1.0, 1.0]) + torch.tensor([10.0, 0.0])
    mirrored = mirrored[:, [1, 0, 2]] if swapped else mirrored
    outputs, other = (outputs_of(each, is_sigmoid=range_ == "sigmoid") for each in (points, mirrored))
    torch.testing.assert_close(made.merge([outputs, other], [False, True]), outputs)


def test_mirrored_maps_are_mirrored_back() -> None:
    maps = torch.randn(2, 3, 4, 5, generator=torch.manual_seed(0))
    made = task(outputs="heatmaps")
    merged = made.merge([maps, maps.flip(-1)[:, [1, 0, 2]]], [False, True])
    torch.testing.assert_close(made.decode(merged), made.decode(maps))


def test_guess_is_the_mean_place_of_visible_points_in_training() -> None:
    training = torch.tensor(
        [[[2.0, 4, 1], [8, 8, 1], [0, 0, 0]], [[4.0, 4, 1], [0, 0, 0], [5, 5, 1]]]
    ).numpy()
    shape = torch.tensor([[[3.0, 4, 1], [8, 8, 1], [5, 5, 1]]])
    evidence = task().guess(training, TARGET.numpy())
    np.testing.assert_allclose(evidence, evidence_of(shape.expand(2, 3, 3), TARGET), atol=1e-6)


FACTS = Facts(**data_section("faces", shape=[1, 20, 10], points=NAMES, classes=[], resize="letterbox"))


def test_points_are_presented_in_pixels_of_the_file_and_drawn_there() -> None:
    # An image of 40 x 40 is shown in rows 5 to 15 of the prepared one, a quarter as large.
    decoded = np.array([[5, 10, 1], [2.5, 5, 1], [0, 15, 1]], np.float32)
    shown = present(Predicted(decoded, (40, 40)), FACTS)
    assert list(shown.cells) == [f"{name}_{axis}" for name in NAMES for axis in "xy"]
    assert list(shown.cells.values()) == ["20.00", "20.00", "10.00", "0.00", "0.00", "40.00"]
    assert shown.marks is not None
    assert shown.marks.points.tolist() == [[20, 20], [10, 0], [0, 40]]


def test_cases_tell_points_in_pixels_of_the_file(tmp_path: Path) -> None:
    made, found = task(), TARGET.clone()
    found[0, 0, 0] += 3
    evaluated = Evaluated(
        evidence_of(found, TARGET),
        made.decode(outputs_of(found)).numpy(),
        np.zeros((2, 20, 10, 1), np.uint8),
        TARGET.numpy(),
        ["a.png", "b.png"],
        np.array([[40, 30], [20, 10]]),
    )
    first, second = cases.rows(made, evaluated)
    assert first == (
        "a.png", "0.100000", "left", "0.300000",
        "left 6.00 8.00; right 24.00 24.00; nose 12.00 12.00", "left 15.00 8.00; right 24.00 24.00; nose 12.00 12.00",
    )  # fmt: skip
    assert second[4] == "left 2.00 2.00; nose 5.00 6.00"
    cases.draw(made, evaluated, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.png", "errors.png", "worst.png"]


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("outputs", "heatmap", "task.outputs: unknown choice 'heatmap'; did you mean 'heatmaps'?"),
        ("range", "tanh", "task.range: unknown choice 'tanh'"),
        (
            "unit",
            ["left", "left"],
            "task.unit must be diagonal or a pair of points, such as [left_eye, right_eye]",
        ),
        ("unit", "left", "task.unit must be diagonal or a pair of points"),
    ],
)
def test_other_settings_are_refused(key: str, value: Any, text: str) -> None:
    with refused(f"task.{key}", got=value) as caught:
        DEMANDS.check_settings({**SETTINGS, key: value})
    assert str(caught.value).startswith(text)


def test_pair_of_another_point_is_refused_with_the_nearest() -> None:
    with refused("task.unit", got="rihgt", hint="did you mean 'right'?"):
        task(unit=["left", "rihgt"])


def test_maps_of_any_sides_are_accepted_and_of_another_number_are_not() -> None:
    wanted = DEMANDS.output_shape({**SETTINGS, "outputs": "heatmaps"}, FACTS, (1, 20, 10))
    assert wanted == (3, 20, 10)
    assert DEMANDS.accepts((3, 5, 2), wanted)
    assert not DEMANDS.accepts((4, 20, 10), wanted)
    assert not DEMANDS.accepts((6,), wanted)
    assert DEMANDS.output_shape(SETTINGS, FACTS, (1, 20, 10)) == (6,)


def test_lower_errors_and_failure_rates_are_better() -> None:
    directions = {name: DEMANDS.direction(f"val/{name}") for name in DEMANDS.scores(FACTS)}
    assert directions == {"nme": "minimize", "failure_rate": "minimize", "pck": "maximize"}
