"""Fold batch norms into the convolutions before them, for inference.

Source: Jacob et al. 2018, arXiv:1712.05877, section 3.2: w' = w gamma / sqrt(var + eps).
"""

from __future__ import annotations

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval


def fold_norms(model: nn.Module) -> nn.Module:
    """Return a copy of a model in eval mode without the batch norms that directly follow a convolution or linear layer.

    The outputs of the copy are the same up to rounding. A norm before its convolution, as in DenseNet, stays: folding
    would shift the zeros that pad the border. So do norms without running statistics, and those behind a grouped
    transposed convolution, which torch does not fuse.

    Raises:
        ValueError: the model is in training mode, where a norm depends on its batch.
    """
    if model.training:
        raise ValueError("fold_norms needs a model in evaluation; call model.eval() first")
    folded = copy.deepcopy(model)
    for module in folded.modules():
        if isinstance(module, nn.Sequential):
            _fold_pairs(module)
    return folded


def _fold_pairs(layers: nn.Sequential) -> None:
    for (name, layer), (norm_name, norm) in pairwise(list(layers.named_children())):
        is_transposed = isinstance(layer, nn.ConvTranspose2d)
        if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and norm.running_var is None:
            continue
        if isinstance(norm, nn.BatchNorm2d) and isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            if is_transposed and layer.groups > 1:
                continue
            setattr(layers, name, fuse_conv_bn_eval(layer, norm, transpose=is_transposed))
        elif isinstance(norm, nn.BatchNorm1d) and isinstance(layer, nn.Linear):
            setattr(layers, name, fuse_linear_bn_eval(layer, norm))
        else:
            continue
        setattr(layers, norm_name, nn.Identity().eval())
