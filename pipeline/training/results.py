"""What a finished training writes: weights, history, scores, and what it decided."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
from pipeline.tasks.task import Evidence, Measuring, Settled, Settling
from pipeline.training.assemble import make_fixed_split
from pipeline.training.checkpoints import read_checkpoint
from pipeline.training.learner import Learner, Row
from pipeline.transforms.views import make_views, see

BATCH = 64  # images per forward pass; does not affect evidence
PARTS = ("model", "task")  # of a learner, which have weights


def write_results(
    declaration: Declaration,
    folder: RunFolder,
    learner: Learner,
    history: Sequence[Row],
    selection: Mapping[str, Any],
    settings: Mapping[str, Any],
    prepared: Prepared,
) -> Sequence[str]:
    """Write the weights, history and scores of a trained run; load the kept weights into the learner.

    Args:
        selection: what `result.json` says of the selecting score.
        settings: the section `task` with what the training split decided.
        prepared: has the validation images, by which the task may decide more.

    Returns:
        Sentences on what went wrong in training, which `result.json` has, too.
    """
    checkpoint = read_checkpoint(folder.best if declaration.trainer.keep == "best" else folder.last)
    kept = next(row for row in history if row["epoch"] == checkpoint["epoch"])
    weights = {part: _weights_of(part, checkpoint["state_dict"]) for part in PARTS}
    learner.cpu().eval()
    learner.model.load_state_dict(weights["model"])
    if isinstance(learner.task, nn.Module):
        learner.task.load_state_dict(weights["task"])
    settled = _settle(declaration, learner, prepared)
    task, alarms = {**settings, **settled.settings}, [*_alarms(learner, history[-1]), *settled.alarms]
    for sentence in settled.alarms:
        warn(sentence)
    with replacing(folder.path / "weights.pt") as draft:
        torch.save(weights["model"], draft)
    folder.write_history(history)
    scores = {"score": kept[f"val/{selection['score']}"], "epoch": kept["epoch"]} | {
        key: kept[key] for key in kept if key.startswith("val/")
    }
    write_text(folder.path / "metrics.json", json.dumps(scores, indent=2) + "\n")
    state = folder.state()
    decided = {
        "declaration": digest(state["identity"]["declaration"]),
        "versions": state["identity"]["versions"],
    }
    result = {key: state[key] for key in ("fingerprint", "data")} | decided
    result |= {"scored_in": SCORED_IN, "selection": selection}
    result |= {"task": task} if task != declaration.task else {}
    result |= {"alarms": alarms} if alarms else {}
    write_text(folder.path / "result.json", json.dumps(result, indent=2) + "\n")
    return alarms


def _weights_of(part: str, state: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(f"{part}."): value for key, value in state.items() if key.startswith(f"{part}.")}


def _alarms(learner: Learner, row: Row) -> list[str]:
    """Return what was wrong in the last epoch."""
    found = learner.task.alarms(row) if isinstance(learner.task, Measuring) else []
    return [f"training, epoch {int(row['epoch']) + 1}: {sentence}" for sentence in found]


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
