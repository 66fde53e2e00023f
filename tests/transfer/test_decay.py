"""Weight decay: of all parameters, or of filters and matrices alone."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.declaration.composition import compose
from pipeline.layers.scales import Scale
from pipeline.training.assemble import build_model, group_parameters, make_optimizer, modules_by_level
from pipeline.transfer.levels import parameter_groups
from pipeline.transforms.statistics import Statistics

GREY = Statistics(
    mean=[0.4], deviation=[0.2], covariance=[[0.04]], pixels=1, mean_image=np.full((32, 32, 1), 0.4)
)


@pytest.mark.parametrize("factors", [[], [0.1, 0.5, 1, 1, 0.3, 2]], ids=["one rate", "rates"])
def test_norms_and_biases_are_spared_weight_decay_where_that_is_declared(factors: list[float]) -> None:
    """One step of SGD with gradients of zero: what decays shrinks by lr * weight_decay, all else stands still."""
    chosen = [
        "optimizer.weight_decay=0.5",
        "optimizer.lr=0.1",
        "optimizer.momentum=0",
        "optimizer.nesterov=false",
    ]
    network = ["model=lenet5", "model.norm=batch", f"model.lr_factors={factors}"]
    declaration = compose([*chosen, *network, "optimizer.decay_norms_and_biases=false"])
    model = build_model(declaration, GREY)
    before = {}
    for name, parameter in model.named_parameters():
        with torch.no_grad():
            parameter.add_(1.0)
        parameter.grad = torch.zeros_like(parameter)
        before[name] = parameter.detach().clone()
    levels = modules_by_level(declaration, model)
    make_optimizer(declaration)(group_parameters(declaration, model.parameters(), levels)).step()
    for level, factor in zip(levels, factors or [1] * 6, strict=True):
        owned = {id(parameter) for module in level for parameter in module.parameters()}
        for name, parameter in model.named_parameters():
            if id(parameter) in owned:
                kept = 1.0 if parameter.ndim == 1 else 1 - 0.1 * factor * 0.5
                torch.testing.assert_close(parameter.detach(), before[name] * kept)


def test_parameters_are_one_group_where_norms_and_biases_decay_too() -> None:
    convolution, norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
    levels = [[convolution, norm]]
    everything = [*convolution.parameters(), *norm.parameters()]
    (group,) = parameter_groups(everything, levels, factors=[], lr=1.0)
    assert group == {"params": everything}
    weights, vectors = parameter_groups(everything, levels, factors=[], lr=1.0, decays_vectors=False)
    assert weights == {"params": [convolution.weight]}
    assert vectors == {"params": everything[1:], "weight_decay": 0.0}


def test_scales_of_channels_are_spared_weight_decay_but_not_the_smallest_filters() -> None:
    scale, filters, matrix = Scale(4, start=0.5), nn.Conv2d(1, 4, 1, bias=False), nn.Linear(1, 4, bias=False)
    weights = [each.weight for each in (scale, filters, matrix)]
    decaying, spared = parameter_groups(weights, [], factors=[], lr=1.0, decays_vectors=False)
    assert (spared["params"], decaying["params"]) == ([scale.weight], [filters.weight, matrix.weight])
