"""The results of a trained run: weights, history and scores, in its folder and in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from pipeline.training.divergence import Halving, say_halving
from pipeline.training.learner import Row
from pipeline.training.remarks import Remark


@dataclass(frozen=True)
class Result:
    """What a training resulted in, beside its weights.

    Args:
        history: the rows of its epochs.
        selection: what `result.json` says of the selecting score.
        task: the section `task` with what the training split decided.
        halvings: of the learning rate.
        remarks: on the training.
    """

    history: Sequence[Row]
    selection: Mapping[str, Any]
    task: Mapping[str, Any]
    halvings: Sequence[Halving]
    remarks: Sequence[Remark]

    def sentences(self) -> list[str]:
        """Return what went wrong in training, one sentence each."""
        return [*map(say_halving, self.halvings), *map(str, self.remarks)]


def write_results(declaration: Declaration, folder: RunFolder, model: nn.Module, result: Result) -> None:
    """Write the weights, history and scores of a trained run; load the kept weights into `model`."""
    source = folder.best if declaration.trainer.keep == "best" else folder.last
    checkpoint = read_checkpoint(source)
    kept = next(row for row in result.history if row["epoch"] == checkpoint["epoch"])
    weights = kept_weights(checkpoint)
    model = model.cpu().eval()
    model.load_state_dict(weights)
    with replacing(folder.path / "weights.pt") as draft:
        torch.save(weights, draft)
    folder.write_history(result.history)
    scores = {"score": kept[f"val/{result.selection['score']}"], "epoch": kept["epoch"]} | {
        key: kept[key] for key in kept if key.startswith("val/")
    }
    write_text(folder.path / "metrics.json", json.dumps(scores, indent=2) + "\n")
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
        about["average"] = {**declaration.trainer.average, "averaged": count_averaged(checkpoint)}
    about |= {"halvings": list(result.halvings)} if result.halvings else {}
    about |= {"remarks": sentences} if (sentences := result.sentences()) else {}
    write_text(folder.path / "result.json", json.dumps(about, indent=2) + "\n")


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
