"""How many images a second, and what takes the time: making batches, the forward and the backward pass, the step."""

from __future__ import annotations

from pipeline.sanity.finding import COST, OK, Check, Finding, not_applicable
from pipeline.sanity.subject import Subject

MUCH = 0.4  # share of the time that making batches takes


def run(subject: Subject) -> Finding:
    """Tell what the steps of a short training took."""
    seconds, count = subject.short.seconds, subject.short.num_images
    total = sum(seconds.values())
    if not count:
        return not_applicable("the short training ended after one step")
    shares = {part: value / total for part, value in seconds.items()}
    size = "" if subject.sides is None else f" of {subject.sides[0]} x {subject.sides[1]} pixels"
    parts = ", ".join(f"{part} {share:.0%}" for part, share in shares.items())
    advice = "set augmentation.copies, or trainer.num_workers" if shares["data"] > MUCH else ""
    numbers = {
        "images_per_second": count / total,
        **{f"share_{part}": share for part, share in shares.items()},
    }
    return Finding(OK, f"{count / total:,.0f} images{size} per second: {parts}", advice, numbers)


CHECK = Check("speed", COST, run)
