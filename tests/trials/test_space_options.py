"""The options of conf/ that a space can pick: their content belongs to a search."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.declaration import composition, keys
from pipeline.trials import space
from pipeline.trials.space import digest_options, parse_space
from tests.refusals import refused

ROOT = Path(__file__).parents[2]
LENET = ["experiment=digits_lenet5"]


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of conf/ that declarations are composed from."""
    copy = tmp_path / "conf"
    shutil.copytree(composition.CONF, copy)
    for module in (composition, space):
        monkeypatch.setattr(module, "CONF", copy)
    return copy


def options(overrides: list[str] = LENET, **draws: str) -> dict[str, str]:
    return digest_options(parse_space(draws), overrides, root=ROOT)


def change(file: Path, section: str, key: str, value: object) -> None:
    """Set a key of an option's file, whether it stands for its section or for the whole declaration."""
    loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    loaded.get(section, loaded)[key] = value
    header = "# @package _global_\n" if section in loaded else ""
    file.write_text(header + yaml.safe_dump(loaded, sort_keys=False), encoding="utf-8")


def test_option_counts_by_what_its_file_declares(conf: Path) -> None:
    before = options(optimizer="choice(sgd, adamw)")
    assert list(before) == ["optimizer=sgd", "optimizer=adamw"]
    assert len(set(before.values())) == 2
    file = conf / "optimizer" / "adamw.yaml"
    file.write_text(file.read_text(encoding="utf-8") + "# a remark\n", encoding="utf-8")
    assert options(optimizer="choice(sgd, adamw)") == before
    change(file, "optimizer", "weight_decay", 0.123)
    after = options(optimizer="choice(sgd, adamw)")
    assert after["optimizer=sgd"] == before["optimizer=sgd"]
    assert after["optimizer=adamw"] != before["optimizer=adamw"]


def test_option_that_the_space_cannot_pick_does_not_count(conf: Path) -> None:
    before = options(optimizer="choice(sgd, adamw)")
    mine = conf / "optimizer" / "mine.yaml"
    mine.write_text("_target_: torch.optim.Adam\nlr: 1.0\n", encoding="utf-8")
    assert options(optimizer="choice(sgd, adamw)") == before
    change(conf / "model" / "mlp.yaml", "model", "name", "another")
    (conf / "scheduler" / "cosine_of_mine.yaml").write_text("T_max: 1\n", encoding="utf-8")
    assert options(optimizer="choice(sgd, adamw)") == before


def test_what_does_not_decide_a_training_does_not_count(conf: Path) -> None:
    before = options(optimizer="choice(sgd, adamw)")
    assert options([*LENET, "views.mirror=true"], optimizer="choice(sgd, adamw)") == before
    assert options([*LENET, "tracking.log_model=false"], optimizer="choice(sgd, adamw)") == before


@pytest.mark.parametrize("draw", ["choice(sgd, adamw)", "choice(adamw, sgd)"])
def test_override_of_the_same_group_does_not_stand_in_the_way(draw: str) -> None:
    assert options([*LENET, "optimizer=adamw"], optimizer=draw) == options(optimizer=draw)


def test_place_inside_of_a_model_is_a_group_of_models() -> None:
    overrides = ["experiment=brain_unet", "model=unet_on"]
    found = options(overrides, **{"model@model.encoder": "choice(resnet18, resnet34)"})
    assert list(found) == ["model@model.encoder=resnet18", "model@model.encoder=resnet34"]
    assert len(set(found.values())) == 2


def test_group_with_a_condition_is_looked_up_where_it_counts() -> None:
    """Without model=unet_on there is no place for an encoder, and without an encoder none for what hangs on it."""
    encoder, optimizer = "choice(resnet18, resnet34)", "choice(sgd, adamw)"
    space = {
        "model": "choice(unet_on, unet_small)",
        "model@model.encoder": {"draw": encoder, "when": "model=unet_on"},
        "optimizer": {"draw": optimizer, "when": "model@model.encoder=resnet34"},
    }
    found = digest_options(parse_space(space), ["experiment=brain_unet"], root=ROOT)
    on = ["experiment=brain_unet", "model=unet_on"]
    placed = options(on, **{"model@model.encoder": encoder})
    hanging = options([*on, "model@model.encoder=resnet34"], optimizer=optimizer)
    assert (len(set(placed.values())), len(set(hanging.values()))) == (2, 2)
    assert {key: found[key] for key in [*placed, *hanging]} == placed | hanging


def test_numbers_have_no_options_but_parts_of_a_model_do() -> None:
    assert options(**{"optimizer.lr": "interval(0, 1)", "trainer.batch_size": "choice(32, 64)"}) == {}
    assert options(**{"model.activation": "choice(relu, tanh)"}).keys() == {
        "model.activation=relu",
        "model.activation=tanh",
    }


def test_unknown_option_is_refused_with_the_closest() -> None:
    allowed = sorted(path.stem for path in (composition.CONF / "optimizer").glob("*.yaml"))
    text = f"optimizer: unknown option 'sgdd'; did you mean 'sgd'? allowed: {', '.join(allowed)}"
    with refused("optimizer", got="sgdd", allowed=allowed, text=text):
        options(optimizer="choice(adamw, sgdd)")


def test_code_of_a_layer_that_an_option_brings_in_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ConvNeXt scales its branches, LeNet-5 does not: only the one has pipeline/layers/scales.py in its closure."""
    space = {"model": "choice(lenet5, convnext_tiny)", "model.norm": "choice(batch, none)"}
    before = options(**space)
    follow = keys.import_closure

    def changed(modules: Any, **more: Any) -> Any:
        found = follow(modules, **more)
        new = {name: "changed" for name in found.digests if name == "pipeline.layers.scales"}
        return replace(found, digests={**found.digests, **new})

    monkeypatch.setattr(keys, "import_closure", changed)
    after = options(**space)
    assert {option for option in before if before[option] != after[option]} == {"model=convnext_tiny"}
