"""Earlier runs of nearly the same declaration: a run with more epochs goes on from one, where that changes no result.

Where only `trainer.max_epochs` differs, the epochs of the shorter run are the first epochs of the longer one: the
schedule, early stopping and the best epoch so far are in its checkpoint, and an epoch depends on nothing else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from pipeline.errors import DamagedFileError
from pipeline.runs.folder import RunFolder
from pipeline.runs.leader import has_launcher

Identity = Mapping[str, Any]
EPOCHS = ("trainer.max_epochs",)
NAMES = {
    "data": "other data",
    "code": "other code",
    "pretrained": "other pretrained weights",
    "files": "other files of its task",
}


def go_on_from_earlier(folder: RunFolder, decides: Identity) -> None:
    """Give a run without checkpoints those of the same run with fewer epochs, if there is one.

    What is done is reported on stderr, as is why a finished run of the same declaration cannot be used. The caller must
    hold the lock of the folder.

    Args:
        decides: the identity of the run.
    """
    if folder.last.exists() or folder.previous.exists() or folder.has_results():
        return
    decides = json.loads(json.dumps(decides))  # as `run.json` holds it, where all keys are text
    others = sorted(_similar(folder, decides), key=lambda pair: -_max_epochs(pair[1]))
    exact = [other for other, known in others if _is_exact(known, decides)]
    for other in exact:
        sys.stderr.write(f"{_adopt(folder, other)}\n")
        if folder.last.exists():
            return
    if others and not exact and not folder.state():
        other, known = others[0]
        fewer = "" if _max_epochs(known) == _max_epochs(decides) else " with fewer epochs"
        why = f"was trained with {', '.join(_differences(known, decides))}"
        if fewer and _averages_last_epochs(decides):
            why = "trainer.average averages its last epochs"
        sys.stderr.write(
            f"runs/{other.path.name} has the same declaration{fewer}, but {why}; training runs/{folder.path.name} from "
            "scratch\n"
        )


def readable_state(folder: RunFolder) -> dict[str, Any]:
    """Return the state of a run; empty if it is damaged, which the next command that trains the run mends."""
    try:
        return folder.state()
    except DamagedFileError:
        return {}


def _adopt(folder: RunFolder, other: RunFolder) -> str:
    """Write the checkpoints of a shorter run as those of a run; return what has been done, or why not."""
    from pipeline.training.checkpoints import adopt_checkpoints  # imports torch

    scratch = f"so runs/{folder.path.name} starts from scratch"
    if has_launcher():  # its other processes may have looked for a checkpoint already
        return f"runs/{other.path.name} cannot be continued by processes that start together, {scratch}"
    try:
        epochs = adopt_checkpoints(folder, other)
    except DamagedFileError as damage:
        return f"{damage.file} {damage.problem}, {scratch}"
    folder.adopt_frames(other)
    folder.update(continues=other.path.name)
    return f"runs/{folder.path.name} goes on from the {epochs} epochs of runs/{other.path.name}"


def _similar(folder: RunFolder, decides: Identity) -> Iterator[tuple[RunFolder, Identity]]:
    """Yield the trained runs whose declaration differs in nothing but a smaller number of epochs and the schedule."""
    for file in sorted(folder.path.parent.glob("*/run.json")):
        other = RunFolder(file.parent)
        state = readable_state(other)
        known = state.get("identity", {})
        if state.get("state") not in ("finished", "trained") or "declaration" not in known:
            continue
        is_shorter = _max_epochs(known) < _max_epochs(decides)
        without = (*EPOCHS, "scheduler") if is_shorter else ()
        if _without(known["declaration"], without) == _without(decides["declaration"], without):
            yield other, known


def _is_exact(known: Identity, decides: Identity) -> bool:
    """Return whether two similar runs differ in the number of epochs alone, and the first epochs of both are equal."""
    if _averages_last_epochs(decides) and _max_epochs(known) < _max_epochs(decides):
        return False
    other, own = ({**each, "declaration": _without(each["declaration"], EPOCHS)} for each in (known, decides))
    return other == own


def _differences(known: Identity, decides: Identity) -> list[str]:
    """Return what decides two runs and differs between them, except for the number of epochs, in words."""
    reasons = [name for key, name in NAMES.items() if known.get(key) != decides.get(key)]
    pairs = [(each.get("resolved", {}) | each.get("versions", {})) for each in (known, decides)]
    schedules = [
        {f"scheduler.{key}": value for key, value in each["declaration"]["scheduler"].items()}
        for each in (known, decides)
    ]
    there, here = (schedule | pair for schedule, pair in zip(schedules, pairs, strict=True))
    return reasons + [
        f"{name} {there.get(name, 'absent')} instead of {here.get(name, 'absent')}"
        for name in sorted({*there, *here})
        if there.get(name) != here.get(name)
    ]


def _averages_last_epochs(decides: Identity) -> bool:
    return "swa" in (decides["declaration"]["trainer"].get("average") or {})


def _max_epochs(decides: Identity) -> int:
    return int(decides["declaration"]["trainer"]["max_epochs"])


def _without(declaration: Mapping[str, Any], paths: tuple[str, ...]) -> dict[str, Any]:
    """Return a declaration without some of its sections or keys."""
    left = deepcopy(dict(declaration))
    for path in paths:
        section, _, key = path.partition(".")
        _ = left[section].pop(key) if key else left.pop(section)
    return left
