"""The folder of a run, `runs/<fingerprint>/`: its state, checkpoints and results.

config.yaml   the declaration, resolved
run.json      state (running, trained, finished), what failed after training, identity, MLflow run, commit, hardware
last.ckpt     checkpoint to resume from: weights, optimizer, scheduler, history; after every epoch
previous.ckpt the one before it, used if the last one is damaged; removed on completion
best.ckpt     weights of the best epoch so far
weights.pt    the model of the kept epoch, including preprocessing; written on completion, as are the files below
result.json   fingerprint, digest of the data, versions of the libraries used, which score selects the epoch
history.csv   one row per epoch
timing.csv    seconds per epoch; only this file and run.json differ between two equal runs
watch.csv     norm of the gradient, ratio of update to weight, dead and saturated units, one row per epoch
metrics.json  validation scores of the kept epoch
pictures/     figures of the run
statistics/   statistics of the training images, as used by preprocessing, and a figure of them
digests.json  digests of the results, written last

config.yaml and run.json change while the run is trained, and hold their own digests.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import DamagedFileError, warn
from pipeline.files import read_json, write_text
from pipeline.storage.sealed import check_files, read_sealed, write_digests, write_sealed

# What a stage publishes: equal runs have equal bytes there.
RESULTS = ["result.json", "weights.pt", "history.csv", "metrics.json", "pictures", "statistics"]
OLDER_RESULTS = ["config.yaml", "run.json"]  # what earlier versions published, too
TIMING = "timing.csv"
WATCHED = "watch.csv"
WATCH = "watch/"  # how the columns of `watch.csv` begin in a row of the history
STATE = "run.json"


class RunFolder:
    """The folder of one run.

    Args:
        path: `runs/<fingerprint>`; created on the first write.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def lock(self) -> Path:
        """The lock file, held by the process that trains the run."""
        return self.path / "lock"

    @property
    def declaration(self) -> Path:
        """The resolved declaration."""
        return self.path / "config.yaml"

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.path / "last.ckpt"

    @property
    def previous(self) -> Path:
        """The checkpoint of the epoch before the last one."""
        return self.path / "previous.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best epoch."""
        return self.path / "best.ckpt"

    @property
    def frames(self) -> Path:
        """The folder of images that a training keeps of its epochs."""
        return self.path / "pictures" / "frames"

    @property
    def kept_frame(self) -> Path:
        """The frame of the kept epoch."""
        return self.frames / "kept.png"

    def adopt_frames(self, other: RunFolder) -> None:
        """Copy the frames of a run that this one goes on from."""
        if other.frames.is_dir():
            shutil.copytree(other.frames, self.frames, dirs_exist_ok=True)

    def state(self) -> dict[str, Any]:
        """Return `run.json`; empty if the run has never started.

        Raises:
            DamagedFileError: it is damaged, or that of another run.
        """
        try:
            return read_sealed(self.path / STATE, of=self.path.name)
        except FileNotFoundError:
            return {}

    def is_finished(self) -> bool:
        """Return whether training of the run is complete."""
        return self.state().get("state") == "finished"

    def has_results(self) -> bool:
        """Return whether this is the folder of a finished run, or one to which its results were published."""
        return (self.path / "result.json").is_file()

    def seal(self) -> None:
        """Record the digests of the results, once they are complete."""
        write_digests(
            self.path, [name for name in [*RESULTS, TIMING, WATCHED] if (self.path / name).exists()]
        )

    def check(self) -> None:
        """Check that the results have the content that was written.

        Raises:
            DamagedFileError: a file is damaged, or that of another run.
        """
        check_files(self.path, hint=self._remedy())
        state = self.state()
        if state and state.get("fingerprint") != self.result().get("fingerprint"):
            raise DamagedFileError(
                self.path / "result.json", "is the result of another run", hint=self._remedy()
            )

    def discard_damaged_state(self) -> None:
        """Remove `run.json` if it is damaged, so that it can be written again; the caller must hold the lock."""
        try:
            self.state()
        except DamagedFileError as damage:
            warn(f"{damage.file} {damage.problem}; it is written again")
            damage.file.unlink()

    def result(self) -> dict[str, Any]:
        """Return `result.json` of a finished run."""
        return self._read("result.json")

    def selection(self, usual: str) -> dict[str, Any]:
        """Return which score selects the epoch of a finished run, its majority class, and what guessing that scores.

        Args:
            usual: the score of the task, which selected the epochs of runs of earlier versions.
        """
        selection: dict[str, Any] = self.result().get(
            "selection", {"score": usual, "majority": None, "baseline": {}}
        )
        return selection

    def has_artifacts(self) -> bool:
        """Return whether the figures and the model of the finished run were logged; trials of a search skip them."""
        return bool(self.state().get("has_artifacts"))

    def update(self, **values: Any) -> None:
        """Update values of `run.json` atomically."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_sealed(self.path / STATE, self.state() | values, of=self.path.name)

    def metrics(self) -> dict[str, float]:
        """Return the validation scores of the kept epoch of a finished run."""
        return self._read("metrics.json")

    def history(self) -> list[dict[str, float]]:
        """Return the rows of `history.csv` of a finished run."""
        return self._rows("history.csv")

    def seconds(self) -> float:
        """Return how long a finished run took to train.

        Raises:
            DamagedFileError: `timing.csv` is damaged.
        """
        check_files(self.path, [TIMING], hint=self._remedy())
        return sum(row["seconds"] for row in self._rows(TIMING))

    def write_history(self, history: Sequence[Mapping[str, float]]) -> None:
        """Write `history.csv`, `timing.csv` and `watch.csv` from rows with columns `seconds` and `watch/...`."""
        watched = [key for key in history[0] if key.startswith(WATCH)]
        numbers = [key for key in history[0] if key != "seconds" and key not in watched]
        for name, keys in (
            (TIMING, ["epoch", "seconds"]),
            (WATCHED, ["epoch", *watched]),
            ("history.csv", numbers),
        ):
            rows = [{key.removeprefix(WATCH): row[key] for key in keys} for row in history]
            write_text(self.path / name, _csv(rows))

    def _read(self, name: str) -> dict[str, Any]:
        path = self.path / name
        return read_json(path) if path.exists() else {}

    def _remedy(self) -> str:
        """Return how to get a damaged result back."""
        if (self.path / STATE).exists():
            return "train the run again: what its checkpoints hold is not trained twice"
        return f"delete it, and `dvc repro` brings {self.path} back"

    def _rows(self, name: str) -> list[dict[str, float]]:
        with (self.path / name).open(newline="", encoding="utf-8") as file:
            return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def format_selection(selection: Mapping[str, Any]) -> str:
    """Say which score selects the epoch, and what always guessing the majority class scores."""
    score, guessed = selection["score"], selection["baseline"].get(selection["score"])
    beside = "" if guessed is None else f", {guessed:.4f} by always guessing '{selection['majority']}'"
    return f"(selected by {score}{beside})"


def _csv(rows: Sequence[Mapping[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
