"""Agreement: with the same weights, our networks put out what those of torchvision and timm do.

Nothing else needs these libraries; to run the tests: pip install torchvision timm.
Where a reference means something else, its row changes the reference: ours are built as declared.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from pipeline.declaration.composition import compose_sections
from pipeline.networks.build import build
from pipeline.networks.planner import plan
from pipeline.transfer.matching import load_matching

NUM_OUTPUTS = 10
TOLERANCE = 1e-6  # of the standard deviation between images; of doubles, as depth multiplies rounding
Tensors = dict[str, Tensor]


def pad_pools(googlenet: nn.Module) -> None:
    """Let every pool be 3x3 and padded by 1; torchvision rounds sizes up, and its last is 2x2."""
    for number in (1, 2, 3, 4):
        setattr(googlenet, f"maxpool{number}", nn.MaxPool2d(3, stride=2, padding=1))


def follow_squeezenet_paper(squeezenet: Any) -> None:
    """Pad as table 1 does, let no ReLU follow the outputs; at 64 pixels no pool rounds up."""
    squeezenet.features[0].padding = (2, 2)
    squeezenet.classifier[2] = nn.Identity()


def split_behind_activation(resnetv2: Any) -> None:
    """Let both paths of the first residual begin behind the activation (He et al. 2016, appendix).

    That timm pools before the norm changes nothing, as the norm's factors are drawn above 0.
    """
    resnetv2.stages[0].blocks[0].downsample = nn.Identity()


def put_last(tensors: Tensors, *, word: str, depth: int) -> Tensors:
    """Put layers called `word` behind the others of their block, which a name's first parts tell."""
    blocks = groupby(tensors, key=lambda name: name.split(".")[:depth])
    names = [name for _, block in blocks for name in sorted(block, key=lambda name: word in name)]
    return {name: tensors[name] for name in names}


def read_vgg(tensors: Tensors) -> Tensors:
    """Take the biases of convolutions into the means of the norms behind them."""
    read = dict(tensors)
    for name in tensors:
        if name.endswith("running_mean"):
            read[name] = tensors[name] - read.pop(f"features.{int(name.split('.')[1]) - 1}.bias")
    return read


def read_preact(tensors: Tensors) -> Tensors:
    """Take the 1x1 convolution at the end as linear; shortcuts come first in timm, last here."""
    linear = {"head.fc.weight": tensors["head.fc.weight"].flatten(1)}
    return put_last({**tensors, **linear}, word="downsample", depth=4)


def read_convnext(tensors: Tensors) -> Tensors:
    """Take linear layers in blocks as 1x1 convolutions, and scales as layers, the last of their blocks."""
    read = {}
    for name, tensor in tensors.items():
        is_linear = ".block." in name and tensor.ndim == 2
        full_name = f"{name}.weight" if name.endswith("layer_scale") else name
        read[full_name] = tensor[..., None, None] if is_linear else tensor
    return put_last(read, word="layer_scale", depth=3)


@dataclass(frozen=True)
class Row:
    """A network, and who else has it."""

    name: str
    origin: str
    reference: str
    options: dict[str, Any] = field(default_factory=dict)  # of the reference
    overrides: tuple[str, ...] = ()  # of our declaration
    change: Callable[[Any], None] = lambda reference: None  # makes the reference what we declare
    read: Callable[[Tensors], Tensors] = dict  # brings its tensors into our order and shapes
    side: int = 75  # of the images; odd, so that it shows how strides and pools round


NO_SIDES = {"aux_logits": False, "transform_input": False, "init_weights": False}
EPS = {"norm_layer": partial(nn.BatchNorm2d, eps=1e-3)}  # as the authors' code; 1e-5 in torchvision up to b4
ROWS = [
    Row("alexnet_one_tower", "torchvision", "alexnet"),
    *(Row(name, "torchvision", name) for name in ("vgg11", "vgg13", "vgg16", "vgg19")),
    Row("vgg16", "torchvision", "vgg16_bn", overrides=("model.norm=batch",), read=read_vgg),
    Row("googlenet_bn", "torchvision", "googlenet", NO_SIDES, change=pad_pools),
    *(Row(f"resnet{depth}", "torchvision", f"resnet{depth}") for depth in (18, 34, 50, 101, 152)),
    Row("resnext50_32x4d", "torchvision", "resnext50_32x4d"),
    Row("preact_resnet18", "timm", "resnetv2_18", change=split_behind_activation, read=read_preact),
    Row("densenet121", "torchvision", "densenet121"),
    Row("squeezenet", "torchvision", "squeezenet1_0", change=follow_squeezenet_paper, side=64),
    Row("mobilenet_v1", "timm", "mobilenetv1_100", {"act_layer": "relu"}),  # ReLU6 in timm
    Row("mobilenet_v2", "torchvision", "mobilenet_v2"),
    Row("mobilenet_v3_small", "torchvision", "mobilenet_v3_small"),
    *(Row(f"efficientnet_b{size}", "torchvision", f"efficientnet_b{size}", EPS) for size in range(5)),
    *(Row(f"efficientnet_b{size}", "torchvision", f"efficientnet_b{size}") for size in (5, 6, 7)),
    Row("efficientnet_lite0", "timm", "efficientnet_lite0", {"bn_eps": 1e-3}),
    Row("convnext_tiny", "torchvision", "convnext_tiny", read=read_convnext),
]


def randomise(reference: nn.Module, images: Tensor) -> None:
    """Draw all weights; let batch norms measure images, then disturb what they measured."""
    for name, weights in reference.named_parameters():
        if weights.ndim > 1:
            nn.init.kaiming_normal_(weights)
        elif name.endswith("bias"):
            nn.init.normal_(weights, std=0.1)
        else:
            nn.init.uniform_(weights, 0.5, 1.5)
    update_bn([images], reference.train())
    for norm in (each for each in reference.modules() if isinstance(each, nn.BatchNorm2d)):
        norm.running_mean += 0.1 * norm.running_var.sqrt() * torch.randn(norm.num_features)
        norm.running_var *= torch.empty(norm.num_features).uniform_(0.8, 1.2)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.reference)
def test_network_agrees_with_the_reference(row: Row) -> None:
    library = pytest.importorskip(row.origin, reason=f"no {row.origin} installed to agree with")
    make = library.create_model if row.origin == "timm" else library.models.get_model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        images = torch.randn(4, 3, row.side, row.side).double() + torch.randn(4, 3, 1, 1)
        reference = make(row.reference, num_classes=NUM_OUTPUTS, **row.options).double()
        row.change(reference)
        randomise(reference, images)
    model = {**compose_sections([f"model={row.name}", *row.overrides])["model"], "init": "zero"}
    network = build(plan(model, shape=images.shape[1:], outputs=NUM_OUTPUTS), seed=0).double()
    account = load_matching(network, row.read(reference.state_dict()), source=row.reference)
    assert (account.kept, account.unused) == ([], [])
    with torch.inference_mode():
        expected, outputs = reference.eval()(images), network.eval()(images)
    spread = expected.std(dim=0).mean()
    assert spread > 1e-3
    assert (outputs - expected).abs().max() < TOLERANCE * spread
