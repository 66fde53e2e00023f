"""The results of a trained run: weights, history and scores, in its folder and in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from pipeline.declaration.declaration import Declaration
from pipeline.declaration.digests import digest
from pipeline.declaration.settings import SCORED_IN
from pipeline.files import replacing, write_text
from pipeline.runs.folder import RunFolder
from pipeline.tracking.run import TrackedRun
from pipeline.training.averaging import count_averaged, kept_weights
from pipeline.training.checkpoints import read_checkpoint
from pipeline.training.description import describe_run
from pipeline.training.divergence import Halving
from pipeline.training.learner import Row


def write_results(
    declaration: Declaration,
    folder: RunFolder,
    model: nn.Module,
    history: list[Row],
    selection: Mapping[str, Any],
    *,
    task: Mapping[str, Any],
    halvings: Sequence[Halving],
) -> None:
    """Write the weights, history and scores of a trained run; load the kept weights into `model`.

    Args:
        selection: what `result.json` says of the selecting score.
        task: the section `task` with what the training split decided.
        halvings: of the learning rate.
    """
    source = folder.best if declaration.trainer.keep == "best" else folder.last
    checkpoint = read_checkpoint(source)
    kept = next(row for row in history if row["epoch"] == checkpoint["epoch"])
    weights = kept_weights(checkpoint)
    model = model.cpu().eval()
    model.load_state_dict(weights)
    with replacing(folder.path / "weights.pt") as draft:
        torch.save(weights, draft)
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
    if declaration.trainer.average is not None:
        result["average"] = {**declaration.trainer.average, "averaged": count_averaged(checkpoint)}
    result |= {"halvings": list(halvings)} if halvings else {}
    write_text(folder.path / "result.json", json.dumps(result, indent=2) + "\n")


def log_scores(
    declaration: Declaration,
    folder: RunFolder,
    tracked: TrackedRun,
    history: list[Row],
    selection: Mapping[str, Any],
) -> None:
    """Log the history and the scores of a trained run, and describe it."""
    scores = folder.metrics()
    tracked.log_history(history)
    tracked.log_final(scores, selection)
    place = f"runs/{folder.path.name}"
    tracked.log_note(describe_run(declaration, scores, score=selection["score"], folder=place))
