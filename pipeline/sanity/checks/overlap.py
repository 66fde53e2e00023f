"""Are images in several splits? Equal or nearly equal ones, after they were resized to `data.shape`.

What is equal byte by byte is refused when data are prepared; here are images that were saved again, resized or degraded
a little. `pipeline.inspection.duplicates` has the method.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.data.facts import SPLITS
from pipeline.data.sources import Sample
from pipeline.inspection.duplicates import Duplicates, find_equal, find_near
from pipeline.inspection.survey import COLUMNS, ROWS, Look, Survey
from pipeline.sanity.finding import DATA, FAULT, OK, WARNING, Check, Finding
from pipeline.sanity.subject import Subject

MOST_IMAGES = 20_000  # of a split, evenly spread; the rest is not looked at
MOST_SHARE = 0.01  # of images that have near copies in other splits, as of plain or very similar images
NAMED = 2  # groups that are named


def run(subject: Subject) -> Finding:
    """Compare the images of all splits with each other."""
    survey = _survey(subject)
    count = len(survey.samples)
    equal, near = (find(survey, lambda _: None) for find in (find_equal, find_near))
    numbers = {"images": count, "equal": equal.across_splits, "near": near.across_splits}
    if not equal.across_splits and not near.across_splits:
        return Finding(OK, f"none of {count:,} images is in several splits", numbers=numbers)
    parts = [
        f"{found.across_splits:,} {kind} in several splits"
        for kind, found in (("equal images are", equal), ("groups of nearly equal images are", near))
        if found.across_splits
    ]
    figure = f"of {count:,} images, {' and '.join(parts)}"
    advice = "scores on val and test are too good: keep one of each group, or split by data.groups"
    if equal.across_splits or near.across_splits > MOST_SHARE * count:
        return Finding(FAULT, f"{figure}, such as {_examples(equal, near)}", advice, numbers)
    return Finding(
        WARNING,
        f"{figure}, such as {_examples(equal, near)}",
        f"look at them; if they are copies, {advice}",
        numbers,
    )


def _survey(subject: Subject) -> Survey:
    """Return what is to be known of the prepared images to find copies."""
    samples: list[Sample] = []
    looks: list[Look] = []
    for split in filter(subject.prepared.has, SPLITS):
        images, files = subject.prepared.images(split), subject.prepared.files(split)
        for index in np.unique(np.linspace(0, len(images) - 1, min(len(images), MOST_IMAGES)).astype(int)):
            pixels = np.asarray(images[index])
            samples.append(Sample(files[index], split, 0))
            looks.append(
                Look(digest=hashlib.sha256(pixels.tobytes()).digest()[:16], thumbnail=_thumbnail(pixels))
            )
    survey = Survey(samples)
    for index, look in enumerate(looks):
        survey.add(index, look)
    return survey


def _thumbnail(pixels: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("L")
    return image.resize((COLUMNS, ROWS), Image.Resampling.BOX, reducing_gap=3.0).tobytes()


def _examples(equal: Duplicates, near: Duplicates) -> str:
    groups = [*equal.examples[: equal.across_splits], *near.examples[: near.across_splits]]
    return "; ".join(" = ".join(names) for names in groups[:NAMED])


CHECK = Check("duplicates across splits", DATA, run)
