"""A gallery: images whose identity is known, by which others are recognised."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from pipeline.data.facts import Facts
from pipeline.data.unlabelled import UnlabelledImage, open_unlabelled
from pipeline.errors import ConfigError, warn
from pipeline.tasks.demands import load_demands
from pipeline.tasks.predictions import Enrolled, Present, load_enrol, load_present
from pipeline.training.ensemble import Ensemble
from pipeline.training.trained import Trained

BATCH = 64  # images per forward pass; does not affect predictions
WAY = "give it a folder or zip file with one folder per identity, <identity>/<image>"


def find_present(run: Trained, ensemble: Ensemble, gallery: Path | None, facts: Facts) -> Present:
    """Return what presents the predictions of a run, by the images of a gallery if there is one.

    Args:
        ensemble: of the run.
        gallery: a folder or zip file, with one folder per identity.
        facts: of what the network sees.

    Raises:
        ConfigError: the task compares no images, or the gallery has none that can be used.
    """
    if gallery is None:
        return load_present(run.declaration.task["_target_"])
    return _enrol(run, ensemble, gallery, facts)


def _enrol(run: Trained, ensemble: Ensemble, source: Path, facts: Facts) -> Present:
    task = run.declaration.task
    enrol = load_enrol(task["_target_"])
    if enrol is None:
        problem = f"{load_demands(task).name} compares no images"
        raise ConfigError("gallery", problem, got=str(source), hint="leave it out")
    found, enrolled = [], list[Enrolled]()
    with open_unlabelled(source, facts) as images, closing(images.decoded(ahead=BATCH)) as decoded:
        while items := list(islice(decoded, BATCH)):
            read = []
            for each in items:
                if isinstance(each, UnlabelledImage):
                    enrolled.append(Enrolled(each.file, _identity(each.file, source)))
                    read.append(each.pixels)
                else:
                    warn(f"gallery: {each.file} is left out: {each.reason}")
            if read:
                found.append(ensemble.predict(read))
    if not found:
        raise ConfigError("gallery", "none of its images can be read", got=str(source), hint=WAY)
    return enrol(run.build_task(), np.concatenate(found), enrolled)


def _identity(file: str, source: Path) -> str:
    """Return the name of the first folder of an image."""
    first, *rest = PurePosixPath(file).parts
    if not rest:
        raise ConfigError("gallery", f"{source} has an image outside of any folder", got=file, hint=WAY)
    return first
