"""What every task announces about its scores, on which their intervals rely."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.tasks.demands import load_demands
from pipeline.tasks.task import Resampled
from pipeline.training.assemble import build_task
from tests.tasks.rows import ROWS
from tests.tasks.test_contract import EACH, balanced, batch_of, declare


@EACH
def test_shares_are_means_of_0_or_1_for_each_image(name: str, tmp_path: Path) -> None:
    declaration = declare(name, tmp_path)
    demands, task, targets = load_demands(declaration.task), build_task(declaration), balanced(name)
    assert {*demands.shares, *demands.biased} <= demands.scores(declaration.data).keys()
    assert set(demands.shares).isdisjoint(demands.biased)
    noise = torch.randn(ROWS[name].perfect(targets).shape, generator=torch.manual_seed(0))
    evidence = task.evidence(ROWS[name].perfect(targets) + 20 * noise, batch_of(targets)).numpy()
    whole, single = task.scores(evidence), [task.scores(evidence[[place]]) for place in range(len(evidence))]
    for share in demands.shares:
        values = [each[share] for each in single]
        assert set(values) <= {0.0, 1.0}
        assert whole[share] == pytest.approx(np.mean(values))


@EACH
def test_selecting_score_stays_inside_its_bounds(name: str, tmp_path: Path) -> None:
    declaration = declare(name, tmp_path)
    demands, task, targets = load_demands(declaration.task), build_task(declaration), balanced(name)
    least, most = demands.bounds or (-np.inf, np.inf)
    noise = torch.randn(ROWS[name].perfect(targets).shape, generator=torch.manual_seed(0))
    for outputs in (ROWS[name].perfect(targets), ROWS[name].constant(targets), 20 * noise):
        score = task.scores(task.evidence(outputs, batch_of(targets)).numpy())[demands.score]
        assert least <= score <= most


@EACH
def test_quicker_scores_of_drawn_images_are_those_of_their_evidence(name: str, tmp_path: Path) -> None:
    declaration = declare(name, tmp_path)
    task, targets = build_task(declaration), balanced(name)
    if not isinstance(task, Resampled):
        pytest.skip("the task has no quicker way")
    noise = torch.randn(ROWS[name].perfect(targets).shape, generator=torch.manual_seed(0))
    evidence = task.evidence(ROWS[name].perfect(targets) + noise, batch_of(targets)).numpy()
    draw, random = task.resampled(evidence), np.random.default_rng(0)
    biased = dict.fromkeys(load_demands(declaration.task).biased)  # which are not drawn
    for count in (1, len(evidence), len(evidence)):
        images = random.choice(len(evidence), count, replace=not ROWS[name].compares)
        np.testing.assert_equal({**draw(images), **biased}, {**task.scores(evidence[images]), **biased})
