"""Several processes for one training (DDP on two CPU processes here): a command trains one run after the other."""

from __future__ import annotations

import json

import pytest

from tests.doors.project import TINY, Project

DDP = ["trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu", "trainer.max_epochs=1"]


@pytest.mark.slow
def test_trials_of_a_search_are_each_trained_by_two_processes(project: Project) -> None:
    said = project.python("pipeline.train", "-m", *TINY, *DDP, "search=coarse", "search.trials=2")
    assert "2 of 2  trial 1" in said
    assert said.count("MEMBER: 2/2") == 3, "a second process for each trial and for the declared values"
    files = sorted((project.root / "runs/searches/digits_lenet5-coarse/trials").glob("*.json"))
    trials = [json.loads(file.read_text()) for file in files]
    assert [(trial["state"], trial["attempts"]) for trial in trials] == [("finished", 1)] * 2


@pytest.mark.slow
def test_two_processes_average_the_same_weights_and_statistics(project: Project) -> None:
    layers = [
        "model.layers=[{conv: 4, norm: batch},{pool: global},flatten]",
        "model.head=[{linear: outputs}]",
    ]
    said = project.python("pipeline.train", *TINY, *DDP, *layers, "trainer.average={ema: 0.9}")
    assert said.count("MEMBER: 2/2") == 1
    (file,) = project.root.glob("runs/*/result.json")
    steps = json.loads(file.read_text())["average"]["averaged"]
    assert steps > 1
