"""Where a run starts from: its initialiser, or the checkpoint that its declaration names."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.training.assemble import build_model, get_network, load_pretrained
from pipeline.transforms.statistics import Statistics
from tests.refusals import refused

SHAPE = (32, 32, 1)
HERE = Statistics([0.4], [0.2], [[0.04]], 1, np.full(SHAPE, 0.4))
THERE = Statistics([0.1], [0.9], [[0.81]], 1, np.full(SHAPE, 0.1))


def declared(*overrides: str, seed: int = 0) -> Declaration:
    return compose(["model=resnet20", "data.shape=[1,8,8]", f"seed={seed}", *overrides])


def saved(model: nn.Module, path: Path) -> str:
    torch.save(model.state_dict(), path)
    return f"model.pretrained={path}"


def test_run_without_a_checkpoint_keeps_its_initial_weights() -> None:
    declaration = declared()
    model = build_model(declaration, HERE)
    assert load_pretrained(declaration, model) is None
    torch.testing.assert_close(
        model.state_dict(), build_model(declaration, HERE).state_dict(), rtol=0, atol=0
    )


def test_weights_of_another_run_become_the_network_but_not_its_preprocessing(tmp_path: Path) -> None:
    theirs = build_model(declared(seed=1), THERE)
    declaration = declared(saved(theirs, tmp_path / "weights.pt"))
    ours = build_model(declaration, HERE)
    account = load_pretrained(declaration, ours)
    assert account is not None
    assert (account.kept, account.loaded) == ([], account.total)
    torch.testing.assert_close(
        get_network(ours).state_dict(), get_network(theirs).state_dict(), rtol=0, atol=0
    )
    before = build_model(declared(), HERE).get_submodule("preprocess")
    torch.testing.assert_close(ours.get_submodule("preprocess").state_dict(), before.state_dict())


def test_network_for_other_classes_starts_from_all_but_the_head(tmp_path: Path) -> None:
    theirs = build_model(declared("data.classes=[a,b,c]", seed=1), THERE)
    declaration = declared(saved(theirs, tmp_path / "weights.pt"))
    ours = build_model(declaration, HERE)
    account = load_pretrained(declaration, ours)
    assert account is not None
    assert account.kept == ["head.2"]
    for name in ("layers", "head"):
        pairs = [get_network(model).get_submodule(name).state_dict().values() for model in (ours, theirs)]
        equal = [
            left.shape == right.shape and torch.equal(left, right) for left, right in zip(*pairs, strict=True)
        ]
        assert set(equal) == {name == "layers"}


def test_checkpoint_of_another_network_is_refused_by_the_name_that_was_declared(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    declaration = declared(saved(nn.Linear(3, 3), path))
    with refused("model.pretrained", got=str(path), hint="the network that it was trained with"):
        load_pretrained(declaration, build_model(declaration, HERE))
