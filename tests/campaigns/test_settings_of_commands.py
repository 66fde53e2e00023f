"""Bad settings through the command `pipeline.train`: they leave no run, no search and nothing in MLflow."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton

from pipeline import train
from pipeline.errors import ConfigError
from tests.makers import data_section, write_class_folders

SEARCH = ("-m", "search=coarse", "search.trials=2")


# Command line, and the path of the setting that is refused.
COMMANDS: list[tuple[str, str]] = [
    ("optimizer.lr=-1", "optimizer.lr"),
    ("optimizer.lr=nan", "optimizer.lr"),
    ("optimizer.lr=inf", "optimizer.lr"),
    ("optimizer.lr=1e300", "optimizer"),
    ("optimizer.momentum=1.0", "optimizer.momentum"),
    ("optimizer.momentum=0", "optimizer"),
    ("optimizer=adamw +optimizer.betas=[0.9,1.0]", "optimizer.betas[1]"),
    ("optimizer=adamw +optimizer.foreach=true +optimizer.fused=true", "optimizer"),
    ("optimizer=adamw optimizer._target_=torch.optim.SparseAdam ~optimizer.weight_decay", "optimizer"),
    ("task.label_smoothing=2", "task.label_smoothing"),
    ("trainer.gradient_clip=nan", "trainer.gradient_clip"),
    ("trainer.gradient_clip=0", "trainer.gradient_clip"),
    ("trainer.devices=-1", "trainer.devices"),
    ("trainer.devices=5000", "trainer.devices"),
    ("trainer.accelerator=tpu", "trainer.accelerator"),
    ("trainer.accelerator=cpu trainer.strategy=fsdp", "trainer"),
    ("trainer.strategy=dpp", "trainer.strategy"),
    ("trainer.accelerator=cpu trainer.precision=16-mixed", "trainer.precision"),
    ("trainer.early_stopping={patience:-1,min_delta:0.0}", "trainer.early_stopping.patience"),
    ("trainer.num_workers=5000", "trainer.num_workers"),
    ("trainer.max_epochs=0", "trainer.max_epochs"),
    ("scheduler.T_max=0", "scheduler.T_max"),
    ("scheduler._target_=torch.optim.lr_scheduler.ExponentialLR ~scheduler.T_max +scheduler.gamma=-0.5",
     "scheduler.gamma"),
    ("scheduler._target_=torch.optim.lr_scheduler.ExponentialLR ~scheduler.T_max +scheduler.gamma=1e200",
     "scheduler"),
    ("scheduler._target_=torch.optim.lr_scheduler.OneCycleLR ~scheduler.T_max +scheduler.max_lr=0.1 "
     "+scheduler.total_steps=5", "scheduler"),
    ("scheduler._target_=torch.optim.lr_scheduler.StepLR ~scheduler.T_max +scheduler.step_size=0",
     "scheduler.step_size"),
    ("model.pretrained=none.pth", "model.pretrained"),
    ("model.pretrained=text.pth", "model.pretrained"),
    ("model.pretrained=cut_off.pth", "model.pretrained"),
    ("model.pretrained=no_tensors.pth", "model.pretrained"),
    ("preprocess=unit preprocess.scale=0", "preprocess.scale"),
    ("augmentation=mixup augmentation.mixing.alpha=0", "augmentation.mixing.alpha"),
    ("augmentation=mirror augmentation.steps.0.p=1.5", "augmentation.steps[0].p"),
    ("augmentation=erase augmentation.steps.0.scale=[0.5,0.1]", "augmentation.steps[0].scale"),
    ("augmentation=crop augmentation.steps.0.rows=0", "augmentation.steps[0].rows"),
    ("augmentation=mirror augmentation.steps.0._target_=albumentations.ToFloat", "augmentation"),
    ("data.split={val:0.6,test:0.6,seed:0}", "data.split"),
    ("seed=-1", "seed"),
    # Sweeps: all jobs are checked before the first trains. Their errors are printed by Hydra's callback.
    ("-m optimizer.lr=0.1,-1", "optimizer.lr"),
    ("-m optimizer.momentum=0.9,0", "optimizer"),
    ("-m trainer.batch_size=2,0 seed=0,1", "trainer.batch_size"),
    # Searches: the bounds of the space, and what all trials have in common.
    ("SEARCH search.space={optimizer.lr:'interval(-1,1)'}", "search.space.optimizer.lr"),
    ("SEARCH search.space={optimizer.lr:'tag(log,interval(0,1))'}", "search.space.optimizer.lr"),
    ("SEARCH search.space={trainer.batch_size:'choice(4,0)'}", "search.space.trainer.batch_size"),
    ("SEARCH search.space={optimizer.lr:banana}", "search.space.optimizer.lr"),
    ("SEARCH +search.space={optimizer.lrr:'interval(0.1,1)'}", "search.space.optimizer.lrr"),
    ("SEARCH optimizer.momentum=0", "optimizer"),
    ("SEARCH search.metric=banana", "search.metric"),
    ("SEARCH search.keep=nan", "search.keep"),
    ("SEARCH search.trials=0", "search.trials"),
    ("SEARCH search.pruner=halving search.warmup=0", "search.warmup"),
]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a project with a few images, and with files that are no checkpoints."""
    monkeypatch.chdir(tmp_path)
    write_class_folders(tmp_path / "tiny", classes=("0", "1"))
    (tmp_path / "text.pth").write_text("not weights")
    torch.save({"epoch": 3}, tmp_path / "no_tensors.pth")
    (tmp_path / "cut_off.pth").write_bytes((tmp_path / "no_tensors.pth").read_bytes()[:100])
    return tmp_path


def campaign(every: int) -> list[object]:
    return [
        pytest.param(*case, marks=[pytest.mark.campaign] if index % every else [], id=case[0])
        for index, case in enumerate(COMMANDS)
    ]


@pytest.mark.parametrize(("line", "path"), campaign(10))
def test_command_that_is_refused_records_nothing(
    line: str, path: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = data_section("tiny", classes=["0", "1"])
    given = [f"data.{key}={data[key]}" for key in ("root", "shape", "split", "name")]
    words = line.replace("SEARCH", " ".join(SEARCH)).split(" ")
    first = words[:1] if words[0] == "-m" else []
    arguments = [
        *first,
        "model=linear",
        "trainer.max_epochs=6",
        "data.classes=['0','1']",
        "data.digest=null",
        *given,
    ]
    monkeypatch.setattr(sys, "argv", ["train", *arguments, *words[len(first) :]])
    before = {*project.iterdir()}
    GlobalHydra.instance().clear()
    Singleton._instances.pop(Plugins, None)  # a test that composed before has looked for plugins elsewhere
    with pytest.raises((ConfigError, SystemExit)) as caught:
        train.main()
    text = str(caught.value) if isinstance(caught.value, ConfigError) else capsys.readouterr().err
    assert text.removeprefix("error: ").startswith((f"{path} ", f"{path}:")), text
    assert {each.name for each in {*project.iterdir()} - before} <= {"cache"}, "something was recorded"
