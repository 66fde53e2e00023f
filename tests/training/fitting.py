"""What stands in for an MLflow run in tests of fitting, and a network that is fitted to noise."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.data.prepared import Prepared
from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.runs.folder import RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.training.fit import fit
from pipeline.training.inputs import Inputs
from pipeline.transforms.statistics import measure

QUIET = TrainingObserver(log_artifacts=False)


class Tracked:
    """Stands in for an MLflow run; notes what it is told."""

    def __init__(self) -> None:
        self.told: list[int] = []
        self.final: dict[str, float] = {}
        self.selection: dict[str, Any] = {}
        self.texts: list[str] = []
        self.note = ""
        self.models: list[dict[str, Any]] = []

    def log_history(self, history: list[dict[str, float]]) -> None:
        self.told.append(len(history))

    def log_final(self, scores: dict[str, float], selection: dict[str, Any]) -> None:
        self.final, self.selection = scores, selection

    def log_note(self, text: str) -> None:
        self.note = text

    def log_text(self, text: str, name: str) -> None:
        assert text
        self.texts.append(name)

    def log_files(self, path: Path, folder: str | None = None) -> None:
        del path, folder

    def log_model(self, model: torch.nn.Module, **about: Any) -> None:
        self.models.append({"model": model, **about})


def ended(error: Exception | None) -> Future[None]:
    """Return a check of inputs that has ended."""
    check: Future[None] = Future()
    check.set_exception(error) if error else check.set_result(None)
    return check


def declared(*overrides: str) -> Declaration:
    """Return the declaration of a small network that is fitted for four epochs."""
    return compose(
        [
            *(
                "experiment=digits_lenet5",
                "augmentation=none",
                "trainer.max_epochs=4",
                "trainer.batch_size=4",
            ),
            *("trainer.progress=false", "trainer.threads=1", "model.width=0.5", *overrides),
        ]
    )


def trained(
    folder: RunFolder,
    observer: TrainingObserver,
    *overrides: str,
    tracked: Tracked | None = None,
    damage: Exception | None = None,
    labels: NDArray[np.uint8] | None = None,
    num_images: int = 8,
) -> bool:
    """Fit a small network on noise; tell whether it was trained to its end."""
    declaration = declared(*overrides)
    prepared = folder.path.parent / "prepared"
    prepared.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        images = random.integers(0, 256, (num_images, 32, 32, 1), dtype=np.uint8)
        np.save(prepared / f"{split}_images.npy", images)
        targets = np.arange(num_images, dtype=np.uint8) if labels is None else labels
        np.save(prepared / f"{split}_targets.npy", targets)
    rows = [
        f"{split},{index},{split}/{index}.png,0,,"
        for split in ("train", "val")
        for index in range(num_images)
    ]
    (prepared / "manifest.csv").write_text("\n".join(["split,index,file,label,group,digest", *rows]) + "\n")
    found = measure([np.load(prepared / "train_images.npy")], patch=None)
    if tracked is not None:  # as the run itself does before
        folder.update(
            fingerprint=folder.path.name,
            data="sha256:01",
            identity={"declaration": {}, "versions": {"torch": "0.0"}},
        )
    log: Any = tracked
    return fit(
        declaration,
        folder,
        inputs=Inputs(Prepared.open(prepared, declaration.data), found, None, ended(damage)),
        tracked=log,
        observer=observer,
        is_child=False,
    )
