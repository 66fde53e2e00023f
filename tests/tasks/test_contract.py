"""The contract of tasks: what holds for every folder of pipeline/tasks, one row each in `rows.py`."""

from __future__ import annotations

import csv
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.data.prepared import Prepared
from pipeline.declaration.checks import check
from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.runs.context import RunContext
from pipeline.tasks.cases import Evaluated, load_cases
from pipeline.tasks.demands import load_demands
from pipeline.tasks.task import Decoded
from pipeline.training.assemble import build_model, build_task
from pipeline.training.evaluation import evaluate
from pipeline.training.inputs import prepare, statistics
from pipeline.training.run import RunRequest, train
from pipeline.transforms.statistics import Statistics
from tests.makers import data_section
from tests.refusals import refused
from tests.tasks.kinds import KINDS, targets_of_kind, write_data
from tests.tasks.rows import NUM_CLASSES, ROWS

TASKS = Path(importlib.import_module("pipeline.tasks").__path__[0])
LAYERS = [{"conv": 4}]
HEADS = {
    True: [{"conv": "outputs", "kernel": 1}],
    False: [{"pool": "global"}, "flatten", {"linear": "outputs"}],
}
EACH = pytest.mark.parametrize("name", sorted(ROWS))


def declare(name: str, folder: Path, *, kind: str | None = None, **trainer: Any) -> Declaration:
    """Return a checked declaration of a task on tiny data of its kind (or of another), written to `folder`."""
    task = compose_sections([f"task={name}"])["task"]
    demands = load_demands(task)
    kind = kind or demands.target
    facts = write_data(folder / "data.zip", kind, most_boxes=ROWS[name].most_boxes)
    if kind == demands.target:
        facts |= ROWS[name].facts
    task |= ROWS[name].settings(folder)
    sections = compose_sections(["model=linear", f"optimizer.lr={ROWS[name].lr}"])
    model = {**sections["model"], "layers": LAYERS, "head": ROWS[name].head or HEADS[demands.is_dense]}
    settings = {"max_epochs": 2, "batch_size": 3, "progress": False, **trainer}
    data = data_section(folder / "data.zip", **facts)
    return check(
        {
            **sections,
            "name": f"tiny_{name}",
            "data": data,
            "input_shape": data["shape"],
            "task": task,
            "model": model,
            "trainer": {**sections["trainer"], **settings},
            "tracking": {"experiment": "tiny", "log_model": False},
        }
    )


def batch_of(targets: Tensor) -> dict[str, Tensor]:
    """Return a batch; the network saw the negatives of images that are targets."""
    return {"target": targets} | ({"image": 255 - targets} if targets.ndim == 4 else {})


def balanced(name: str) -> Tensor:
    """Return targets of six images, each class as frequent."""
    return targets_of_kind(name, torch.arange(6, dtype=torch.uint8) % NUM_CLASSES)


def weights_of(declaration: Declaration, root: Path) -> dict[str, Tensor]:
    folder = train(declaration, RunRequest("test", "test", waits=False), RunContext(root))
    weights: dict[str, Tensor] = torch.load(folder.path / "weights.pt", weights_only=True)
    return weights


def test_every_task_folder_has_its_row_and_every_row_its_folder() -> None:
    assert {path.parent.name for path in TASKS.glob("*/demands.py")} == ROWS.keys()


@EACH
def test_folder_holds_three_modules_or_four_and_conf_names_its_class(name: str) -> None:
    modules = {path.stem for path in (TASKS / name).glob("*.py")} - {"__init__"}
    assert modules - {"predictions"} == {"demands", "task", "cases"}
    target = compose_sections([f"task={name}"])["task"]["_target_"]
    assert target == f"pipeline.tasks.{name}.task.{name.title().replace('_', '')}"


@EACH
def test_demands_are_known_without_a_training_library(name: str) -> None:
    code = f"import sys, pipeline.tasks.{name}.demands; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert {"torch", "torchmetrics", "pytorch_lightning", "matplotlib"}.isdisjoint(loaded.split())


@EACH
def test_scores_are_those_that_the_demands_announce(name: str, tmp_path: Path) -> None:
    declaration = declare(name, tmp_path)
    demands, task, targets = load_demands(declaration.task), build_task(declaration), balanced(name)
    scores = task.scores(task.evidence(ROWS[name].constant(targets), batch_of(targets)).numpy())
    titles = demands.scores(declaration.data)
    assert list(scores) == list(titles)
    assert next(iter(titles)) == demands.score
    assert demands.mode in ("max", "min")
    assert demands.logged(declaration.data) == ["score", "val/loss", *(f"val/{each}" for each in scores)]


@EACH
def test_perfect_outputs_score_best_and_constant_ones_no_better_than_chance(
    name: str, tmp_path: Path
) -> None:
    row, targets = ROWS[name], balanced(name)
    declaration = declare(name, tmp_path)
    demands, task = load_demands(declaration.task), build_task(declaration)

    def score(outputs: Tensor) -> float:
        return task.scores(task.evidence(outputs, batch_of(targets)).numpy())[demands.score]

    sign = {"max": 1, "min": -1}[demands.mode]
    assert score(row.perfect(targets)) == pytest.approx(row.best)
    assert sign * score(row.constant(targets)) <= sign * row.chance
    assert sign * row.chance < sign * row.best


@EACH
def test_loss_of_perfect_outputs_is_the_lower_one_and_is_what_gradients_flow_from(
    name: str, tmp_path: Path
) -> None:
    task, targets = build_task(declare(name, tmp_path)), balanced(name)
    outputs = ROWS[name].constant(targets)
    loss = task.loss(outputs, batch_of(targets))
    assert loss.shape == ()
    assert task.loss(ROWS[name].perfect(targets), batch_of(targets)) < loss
    outputs = outputs + 0.1 * torch.randn(outputs.shape, generator=torch.manual_seed(0))
    outputs.requires_grad_()  # where all images have equal embeddings, these have no direction to go
    task.loss(outputs, batch_of(targets)).backward()
    assert outputs.grad is not None
    assert outputs.grad.abs().sum() > 0


@EACH
def test_evidence_of_a_batch_is_that_of_its_images_one_by_one(name: str, tmp_path: Path) -> None:
    task, targets = build_task(declare(name, tmp_path)), balanced(name)
    outputs = ROWS[name].perfect(targets) + torch.randn(
        ROWS[name].perfect(targets).shape, generator=torch.manual_seed(0)
    )
    whole = task.evidence(outputs, batch_of(targets))
    parts = [task.evidence(outputs[[i]], batch_of(targets[[i]])) for i in range(len(targets))]
    assert torch.equal(whole, torch.cat(parts))


@EACH
def test_a_single_image_and_one_of_nothing_but_the_first_class_are_scored(name: str, tmp_path: Path) -> None:
    task = build_task(declare(name, tmp_path))
    for targets in (balanced(name)[:1], targets_of_kind(name, torch.zeros(1, dtype=torch.uint8))):
        scores = task.scores(task.evidence(ROWS[name].perfect(targets), batch_of(targets)).numpy())
        assert all(np.isnan(value) or np.isfinite(value) for value in scores.values())
        assert ROWS[name].compares or not np.isnan(next(iter(scores.values())))


@EACH
def test_mixed_images_count_for_both_their_targets_by_weight(name: str, tmp_path: Path) -> None:
    declaration = declare(name, tmp_path)
    if not load_demands(declaration.task).mixes:
        pytest.skip("images of this task are not mixed")
    task, targets = build_task(declaration), balanced(name)
    outputs, partners = ROWS[name].constant(targets), targets.flip(0)
    losses = [float(task.loss(outputs, batch_of(each))) for each in (targets, partners)]
    mixed = {"target": targets, "partner": partners, "weight": torch.tensor(0.25)}
    assert float(task.loss(outputs, mixed)) == pytest.approx(0.25 * losses[0] + 0.75 * losses[1], rel=1e-5)


@EACH
def test_one_view_changes_nothing_and_views_that_agree_keep_what_is_decoded(
    name: str, tmp_path: Path
) -> None:
    task, targets = build_task(declare(name, tmp_path)), balanced(name)
    outputs = ROWS[name].perfect(targets)
    assert task.merge([outputs], [False]) is outputs
    merged = task.merge([outputs, outputs], [False, False])
    torch.testing.assert_close(task.decode(merged), task.decode(outputs))


@EACH
def test_exported_graph_decodes_as_the_model_does_for_any_number_of_images(name: str, tmp_path: Path) -> None:
    declaration = declare(name, tmp_path)
    numbers = Statistics.load(statistics(declaration, root=tmp_path))
    decoded = Decoded(build_model(declaration, numbers), build_task(declaration)).eval()
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0))
    batch = torch.export.Dim("batch", min=1)
    graph = torch.export.export(decoded, (images[:2],), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(graph(images), decoded(images))


@EACH
@pytest.mark.slow
def test_run_that_is_stopped_and_resumed_ends_with_the_same_weights(name: str, tmp_path: Path) -> None:
    """Two epochs at once, and two of which the second is trained by another call, from the checkpoint."""
    declaration = declare(name, tmp_path)
    (tmp_path / "resumed").mkdir()
    whole = weights_of(declaration, tmp_path)

    folder = train(declaration, RunRequest("test", "test", waits=False), RunContext(tmp_path))
    stopped = tmp_path / "resumed" / "runs" / folder.path.name
    interrupt_after_one_epoch(declaration, tmp_path / "resumed")
    assert (stopped / "last.ckpt").exists()
    assert not (stopped / "result.json").exists()
    resumed = weights_of(declaration, tmp_path / "resumed")
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[key], whole[key]) for key in whole)


def interrupt_after_one_epoch(declaration: Declaration, root: Path) -> None:
    from pipeline.runs.observer import TrainingObserver

    class Interrupted(Exception):
        pass

    def interrupt(history: Any) -> bool:
        if len(history) == 2:  # the checkpoint of the first epoch is there
            raise Interrupted
        return False

    observer = TrainingObserver(log_artifacts=False, should_stop=interrupt)
    with pytest.raises(Interrupted):
        train(declaration, RunRequest("test", "test", waits=False, observer=observer), RunContext(root))


@EACH
@pytest.mark.slow
def test_trained_run_is_evaluated_with_a_row_and_pictures_of_its_cases(name: str, tmp_path: Path) -> None:
    declaration = declare(name, tmp_path)
    folder = train(declaration, RunRequest("test", "test", waits=False), RunContext(tmp_path))
    scores = evaluate(folder, tmp_path / "out", root=tmp_path)
    assert list(scores) == list(load_demands(declaration.task).scores(declaration.data))
    cases = load_cases(declaration.task["_target_"])
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == list(cases.COLUMNS)
    prepared = Prepared.open(prepare(declaration, root=tmp_path), declaration.data)
    assert list(dict.fromkeys(row[0] for row in rows)) == prepared.files("test")
    other = declaration.replace(seed=declaration.seed + 1)
    with refused(str(folder.path), hint="name the declaration that it was trained by"):
        evaluate(folder, tmp_path / "out", root=tmp_path, declaration=other)
    folder.declaration.write_text(other.text())
    with refused(str(folder.declaration), hint="train the run again, which writes it"):
        evaluate(folder, tmp_path / "out", root=tmp_path)


@EACH
def test_pictures_of_cases_are_drawn_where_all_are_right_and_where_all_are_wrong(
    name: str, tmp_path: Path
) -> None:
    declaration = declare(name, tmp_path)
    task, targets = build_task(declaration), balanced(name)
    images = np.zeros((6, 4, 6, 1), np.uint8)
    cases = load_cases(declaration.task["_target_"])
    for kind in ("perfect", "constant"):
        outputs = getattr(ROWS[name], kind)(targets)
        evaluated = Evaluated(
            task.evidence(outputs, batch_of(targets)).numpy(),
            task.decode(outputs).numpy(),
            images,
            targets.numpy(),
            [f"{index}.png" for index in range(6)],
            np.full((6, 2), 8),
        )
        cases.draw(task, evaluated, tmp_path / kind)
        assert list((tmp_path / kind).glob("*.png")), kind
        rows = list(cases.rows(task, evaluated))
        assert {len(row) for row in rows} == {len(cases.COLUMNS)}
        assert list(dict.fromkeys(row[0] for row in rows)) == evaluated.files


@EACH
def test_data_with_another_kind_of_target_are_refused(name: str, tmp_path: Path) -> None:
    own = load_demands(compose_sections([f"task={name}"])["task"]).target
    for other in KINDS.keys() - {own}:
        with refused("task", hint="choose another task= or data="):
            declare(name, tmp_path / other, kind=other)
