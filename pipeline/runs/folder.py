"""The folder of a run, `runs/<fingerprint>/`: its state, checkpoints and results.

config.yaml   the declaration, resolved
run.json      state (running, finished), fingerprint, MLflow run, git commit, versions, hardware
last.ckpt     checkpoint to resume from: weights, optimizer, scheduler, history; after every epoch
best.ckpt     weights of the best epoch so far
weights.pt    the model of the kept epoch, preprocessing included; with the files below when finished
history.csv   one row per epoch
metrics.json  validation scores of the kept epoch
pictures/     pictures of the run, for people
statistics/   of the training images, as the model's preprocessing uses them, and a picture of them
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from pipeline.files import read_yaml, write_text

RESULTS = ["config.yaml", "run.json", "weights.pt", "history.csv", "metrics.json", "pictures", "statistics"]


class RunFolder:
    """One run's folder.

    Args:
        path: `runs/<fingerprint>`; created on the first write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lock(self) -> Path:
        """The lock file, held by the process that trains."""
        return self.path / "lock"

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.path / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.path / "best.ckpt"

    def state(self) -> dict[str, Any]:
        """Return `run.json`; empty where the run has never started."""
        return read_json(self.path / "run.json")

    def is_finished(self) -> bool:
        """Return whether all results are there."""
        return self.state().get("state") == "finished"

    def is_shown(self) -> bool:
        """Return whether there are pictures of the finished run; trials of a search have none."""
        return bool(self.state().get("is_shown"))

    def update(self, **values: Any) -> None:
        """Set values of `run.json` atomically: readers see the file as it was before or after."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.path / "run.json", json.dumps(self.state() | values, indent=2) + "\n")

    def metrics(self) -> dict[str, float]:
        """Return the validation scores of the kept epoch of a finished run."""
        return read_json(self.path / "metrics.json")

    def history(self) -> list[dict[str, float]]:
        """Return the rows of `history.csv` of a finished run."""
        with (self.path / "history.csv").open(newline="", encoding="utf-8") as file:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]

    def config(self) -> dict[str, Any]:
        """Return the resolved config of the run."""
        loaded: dict[str, Any] = read_yaml((self.path / "config.yaml").read_text("utf-8"))
        return loaded


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty where there is no file."""
    try:
        loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return loaded
