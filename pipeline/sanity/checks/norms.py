"""Are the running statistics of batch norms near those of the data? Validation uses the former, training the latter.

Source: Ioffe and Szegedy 2015, arXiv:1502.03167, section 3.1.
"""

from __future__ import annotations

from copy import deepcopy

import torch

from pipeline.declaration.network import has_batch_norms
from pipeline.sanity.finding import FAULT, LEARNING, OK, WARNING, Check, Finding, not_applicable
from pipeline.sanity.short import settle_norms
from pipeline.sanity.subject import Subject

APART, FAR_APART = 0.5, 10.0  # deviations of the data, in the median channel of the worst norm


@torch.no_grad()
def run(subject: Subject) -> Finding:
    """Compare running means and deviations after a short training with those computed anew."""
    if not has_batch_norms(subject.network):
        return not_applicable("the network has no batch norms")
    if subject.short.has_diverged:
        return not_applicable("the short training diverged")
    settled = settle_norms(subject, deepcopy(subject.short.model))
    worst, place = 0.0, ""
    for (where, before), after in zip(subject.short.model.named_modules(), settled.modules(), strict=True):
        if not isinstance(before, torch.nn.modules.batchnorm._BatchNorm) or before.running_mean is None:
            continue
        running, data = dict(before.named_buffers()), dict(after.named_buffers())
        variances = [each["running_var"] + before.eps for each in (running, data)]
        means = (running["running_mean"] - data["running_mean"]).abs() / variances[1].sqrt()
        ratios = (variances[0] / variances[1]).log().abs() / 2
        distance = float(torch.maximum(means, ratios).median())
        if not distance <= worst:
            worst, place = distance, where
    figure = f"at most {worst:.2g} deviations apart, in {place}" if place else "equal to those of the data"
    numbers = {"distance": worst}
    if worst > APART:
        advice = "validation scores jump: lower optimizer.lr, enlarge trainer.batch_size or raise trainer.norm_momentum"
        return Finding(FAULT if worst > FAR_APART else WARNING, figure, advice, numbers)
    return Finding(OK, figure, numbers=numbers)


CHECK = Check("statistics of batch norms", LEARNING, run)
