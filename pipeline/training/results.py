"""The results of a trained run: weights, history, scores and what it decided, in its folder and in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from pipeline.data.prepared import Prepared
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.digests import digest
from pipeline.declaration.settings import SCORED_IN
from pipeline.errors import warn
from pipeline.files import replacing, write_text
from pipeline.runs.folder import RunFolder
from pipeline.tasks.task import Evidence, Settled, Settling
from pipeline.tracking.run import TrackedRun
from pipeline.training.assemble import make_fixed_split
from pipeline.training.averaging import count_averaged, kept_weights
from pipeline.training.checkpoints import read_checkpoint
from pipeline.training.description import describe_run
from pipeline.training.divergence import Halving, say_halving
from pipeline.training.learner import Learner, Row
from pipeline.transforms.views import make_views, see

BATCH = 64  # images per forward pass; does not affect evidence
TASK = "task."  # how weights of a task begin in a checkpoint


@dataclass(frozen=True)
class Result:
    """What a training resulted in, beside its weights.

    Args:
        history: the rows of its epochs.
        selection: what `result.json` says of the selecting score.
        task: the section `task` with what the training and the validation split decided.
        halvings: of the learning rate.
        remarks: on what else went wrong.
    """

    history: Sequence[Row]
    selection: Mapping[str, Any]
    task: Mapping[str, Any]
    halvings: Sequence[Halving]
    remarks: Sequence[str]

    def sentences(self) -> list[str]:
        """Return what went wrong in training, one sentence each."""
        return [*map(say_halving, self.halvings), *self.remarks]


def write_results(
    declaration: Declaration, folder: RunFolder, learner: Learner, result: Result, prepared: Prepared
) -> Result:
    """Write the weights, history and scores of a trained run; load the kept weights into the learner.

    Args:
        prepared: has the validation images, by which the task may decide more.

    Returns:
        The result, with that decision.
    """
    checkpoint = read_checkpoint(folder.best if declaration.trainer.keep == "best" else folder.last)
    kept = next(row for row in result.history if row["epoch"] == checkpoint["epoch"])
    weights = kept_weights(checkpoint)
    learner.cpu().eval()
    learner.model.load_state_dict(weights)
    _load_task(learner.task, checkpoint["state_dict"])
    settled = _settle(declaration, learner, prepared)
    for sentence in settled.alarms:
        warn(sentence)
    result = replace(
        result, task={**result.task, **settled.settings}, remarks=[*result.remarks, *settled.alarms]
    )
    with replacing(folder.path / "weights.pt") as draft:
        torch.save(weights, draft)
    folder.write_history(result.history)
    scores = {"score": kept[f"val/{result.selection['score']}"], "epoch": kept["epoch"]} | {
        key: kept[key] for key in kept if key.startswith("val/")
    }
    write_text(folder.path / "metrics.json", json.dumps(scores, indent=2) + "\n")
    about = _describe(declaration, folder, result, num_averaged=count_averaged(checkpoint))
    write_text(folder.path / "result.json", json.dumps(about, indent=2) + "\n")
    return result


def _describe(
    declaration: Declaration, folder: RunFolder, result: Result, *, num_averaged: int
) -> dict[str, Any]:
    """Return the contents of `result.json`."""
    state = folder.state()
    about = {key: state[key] for key in ("fingerprint", "data")}
    about |= {
        "declaration": digest(state["identity"]["declaration"]),
        "versions": state["identity"]["versions"],
        "scored_in": SCORED_IN,
        "selection": result.selection,
    }
    about |= {"task": result.task} if result.task != declaration.task else {}
    if declaration.trainer.average is not None:
        about["average"] = {**declaration.trainer.average, "averaged": num_averaged}
    about |= {"halvings": list(result.halvings)} if result.halvings else {}
    about |= {"remarks": sentences} if (sentences := result.sentences()) else {}
    return about


def log_result(declaration: Declaration, folder: RunFolder, tracked: TrackedRun, result: Result) -> None:
    """Log the history, the scores and the remarks of a trained run, and describe it."""
    scores, remarks = folder.metrics(), result.sentences()
    tracked.log_history(result.history)
    tracked.log_final(scores, result.selection)
    if remarks:
        tracked.log_text("".join(f"{remark}\n" for remark in remarks), "remarks.txt")
    place = f"runs/{folder.path.name}"
    score = result.selection["score"]
    tracked.log_note(describe_run(declaration, scores, score=score, folder=place, remarks=remarks))


def _load_task(task: Any, state: Mapping[str, Any]) -> None:
    """Load the weights of a task that has some."""
    if isinstance(task, nn.Module):
        task.load_state_dict(
            {key.removeprefix(TASK): value for key, value in state.items() if key.startswith(TASK)}
        )


def _settle(declaration: Declaration, learner: Learner, prepared: Prepared) -> Settled:
    """Return what the task decides by the validation images, seen as test images are."""
    task = learner.task
    if not isinstance(task, Settling):
        return Settled({})
    seen, val, found = declaration.input_shape[1:], make_fixed_split(declaration, prepared, "val"), []
    views = make_views(declaration.views, (declaration.data.shape[1], declaration.data.shape[2]), seen)
    with torch.inference_mode():
        for start in range(0, len(val), BATCH):
            batch: Any = val[0, list(range(start, min(start + BATCH, len(val))))]
            shown = [learner(see(batch["image"], view, seen)) for view in views]
            outputs = task.merge(shown, [view.is_mirrored for view in views])
            found.append(task.evidence(outputs, batch))
    evidence: Evidence = torch.cat(found).numpy()
    return task.settled(evidence)
