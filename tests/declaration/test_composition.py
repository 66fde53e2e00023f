"""Composition: what Hydra composes, with the files read once."""

import shutil
from pathlib import Path

import hydra
import pytest

from pipeline.declaration import composition
from pipeline.declaration.composition import CONF, compose_sections


@pytest.mark.parametrize(
    "overrides",
    [
        ["experiment=brain_unet", "optimizer.lr=0.3", "trainer.max_epochs=7", "seed=4"],
        [
            "model=unet_on",
            "data=brain",
            "task=segmentation",
            "model@model.encoder=resnet20",
            "model.width=0.5",
        ],
        ["optimizer=adamw", "+optimizer.amsgrad=true", "~scheduler.T_max", "+optimizer.betas=[0.8,0.9]"],
        ["augmentation=mirror_crop", "augmentation.steps.0.p=0.3", "data.fold={index:1,of:3}"],
    ],
    ids=str,
)
def test_declaration_is_what_hydra_composes_however_often_it_is_asked(overrides: list[str]) -> None:
    with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        wanted = composition.resolved(hydra.compose("config", overrides=overrides))
    assert [compose_sections(overrides) for _ in range(3)] == [wanted] * 3
    compose_sections(overrides)["optimizer"]["lr"] = "changed"
    assert compose_sections(overrides) == wanted


def test_file_that_changes_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    monkeypatch.setattr(composition, "CONF", tmp_path / "conf")
    before = compose_sections(["optimizer.momentum=0.5"])["optimizer"]
    file = tmp_path / "conf" / "optimizer" / "sgd.yaml"
    file.write_text(file.read_text() + "dampening: 0.1\n")
    assert compose_sections(["optimizer.momentum=0.5"])["optimizer"] == before | {"dampening": 0.1}
