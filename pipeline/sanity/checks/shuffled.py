"""Does a network that learns shuffled targets fall to chance on validation images? If not, something leaks.

Source: Zhang et al. 2017, "Understanding deep learning requires rethinking generalization", arXiv:1611.03530: networks
fit random labels; what they learn from them says nothing of other images.
"""

from __future__ import annotations

from math import isnan

from pipeline.sanity.finding import CONTROL, FAULT, OK, WARNING, Check, Finding, not_applicable
from pipeline.sanity.subject import Subject

MUCH, MOST = 0.5, 0.8  # of what the true targets gain over the prior


def run(subject: Subject) -> Finding:
    """Train on images whose targets are those of other images, and compare with the prior."""
    if subject.training.maker is not None:
        return not_applicable("targets are made of the images themselves")
    sign = 1 if subject.selection.mode == "max" else -1
    true, prior = subject.outcome.score, subject.prior.score
    if isnan(true) or sign * true <= sign * prior:
        return not_applicable("with the true targets, a short training does not beat the prior either")
    found = subject.control.score
    share = sign * (found - prior) / (sign * (true - prior))
    figure = f"{subject.title} {found:.3f} with shuffled targets, {true:.3f} with the true ones"
    figure += f"; the prior has {prior:.3f}"
    numbers = {"score": found, "true": true, "prior": prior}
    if share > MUCH:
        advice = "shuffled targets should teach nothing: are the same images in train and val, or do all look alike?"
        return Finding(FAULT if share > MOST else WARNING, figure, advice, numbers)
    return Finding(OK, figure, numbers=numbers)


CHECK = Check("shuffled targets teach nothing", CONTROL, run)
