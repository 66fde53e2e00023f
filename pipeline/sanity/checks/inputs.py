"""Are the inputs normalised? Mean and deviation of what enters the first layer.

Source: LeCun et al. 1998, "Efficient BackProp", section 4.3: inputs of mean 0 and deviation 1.
"""

from __future__ import annotations

import torch

from pipeline.sanity.finding import DATA, FAULT, OK, WARNING, Check, Finding
from pipeline.sanity.subject import Subject

LARGE, FAR = 10.0, 3.0  # of means and deviations
SMALL = 0.03  # of deviations


@torch.no_grad()
def run(subject: Subject) -> Finding:
    """Compare the inputs of the network with a mean of 0 and a deviation of 1, channel by channel."""
    entering = subject.build().get_submodule("preprocess")(subject.probe["image"]).float()
    means, deviations = entering.mean(dim=(0, 2, 3)), entering.std(dim=(0, 2, 3), correction=0)
    mean = float(means[means.abs().argmax()])
    low, high = float(deviations.min()), float(deviations.max())
    spread = f"{low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g}"
    figure = f"mean {mean:.2g}, deviation {spread}"
    numbers = {"mean": mean, "deviation_low": low, "deviation_high": high}
    advice = "normalise the images: preprocess=standardize"
    if abs(mean) > LARGE or high > LARGE:
        return Finding(FAULT, figure, f"pixels are not normalised; {advice}", numbers)
    if abs(mean) > FAR or high > FAR or low < SMALL:
        return Finding(WARNING, figure, f"inputs are far from mean 0 and deviation 1; {advice}", numbers)
    return Finding(OK, figure, numbers=numbers)


CHECK = Check("inputs normalised", DATA, run)
