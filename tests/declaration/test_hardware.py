"""What is left to the machine: it is resolved, it decides, and to know it costs nothing the second time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.declaration import hardware
from pipeline.declaration.composition import compose
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.hardware import RESOLVED, Hardware, count_threads, find_hardware, probe, resolve
from pipeline.declaration.keys import declaration_digest, fingerprint, identity, stage_digests

PLAIN = Hardware(None, 0, [])
AMX = Hardware(None, 0, ["cpu"])
OLD_GPU = Hardware("cuda", 2, ["cpu"])
GPU = Hardware("cuda", 4, ["cuda"])
MAC = Hardware("mps", 1, [])
DEFAULTS = compose([]).trainer

ROWS = [
    # settings, hardware, accelerator, devices, precision
    ({}, PLAIN, "cpu", 1, "32-true"),
    ({}, AMX, "cpu", 1, "bf16-mixed"),
    ({}, GPU, "cuda", 1, "bf16-mixed"),
    ({}, OLD_GPU, "cuda", 1, "32-true"),
    ({}, MAC, "mps", 1, "32-true"),
    ({"accelerator": "cpu"}, OLD_GPU, "cpu", 1, "bf16-mixed"),
    ({"accelerator": "cpu", "devices": "auto"}, GPU, "cpu", 1, "32-true"),
    ({"accelerator": "gpu", "devices": "auto"}, GPU, "cuda", 4, "bf16-mixed"),
    ({"accelerator": "gpu", "devices": "auto"}, MAC, "mps", 1, "32-true"),
    ({"accelerator": "gpu"}, PLAIN, "gpu", 1, "32-true"),  # refused later, by its name
    ({"precision": "32-true", "devices": 2}, GPU, "cuda", 2, "32-true"),
]


@pytest.mark.parametrize(("changed", "found", "accelerator", "devices", "precision"), ROWS)
def test_auto_is_resolved_by_the_hardware(
    changed: dict[str, Any], found: Hardware, accelerator: str, devices: int, precision: str
) -> None:
    settings = resolve(replace(DEFAULTS, **changed), found)
    assert (settings.accelerator, settings.devices, settings.precision) == (accelerator, devices, precision)
    assert resolve(settings, PLAIN) == settings, "nothing is left to another machine"


def test_every_setting_that_can_be_auto_or_null_for_the_machine_is_resolved() -> None:
    left_to_it = {name for name, value in vars(DEFAULTS).items() if value == "auto"} | {"threads", "devices"}
    assert left_to_it - {"num_workers", "strategy"} == set(
        RESOLVED
    )  # these follow from the devices, or do not decide


@pytest.mark.parametrize(
    ("variable", "threads"), [("3", 3), ("5,2", 5), (" 4 ", 4), ("", 7), ("0", 7), ("many", 7), (None, 7)]
)
def test_threads_of_null_are_those_of_openmp_or_all_cores(
    variable: str | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "num_threads", lambda: 7)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert count_threads() == threads
    assert resolve(replace(DEFAULTS, threads=None), PLAIN).threads == threads
    assert resolve(DEFAULTS, PLAIN).threads == DEFAULTS.threads == 2


# What is resolved decides.


def test_fingerprint_differs_where_precision_or_accelerator_resolve_otherwise(
    tiny: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, digests = {}, []
    for machine in (PLAIN, AMX, GPU, MAC):
        monkeypatch.setattr(hardware, "probe", lambda machine=machine: machine)
        assert identity(tiny, root=tmp_path)["resolved"].keys() == set(RESOLVED)
        found[fingerprint(tiny, root=tmp_path)] = machine
        digests.append((stage_digests(tiny, root=tmp_path), declaration_digest(tiny)))
    assert len(found) == 4
    assert digests == [digests[0]] * 4, "what DVC depends on is the same on every machine"


def test_threads_of_the_environment_decide_only_where_they_are_asked_for(
    tiny: Declaration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tiny.replace(trainer={**tiny.sections["trainer"], "threads": None})
    found: dict[str, set[str]] = {"declared": set(), "own": set()}
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found["declared"].add(fingerprint(tiny, root=tmp_path))
        found["own"].add(fingerprint(own, root=tmp_path))
    assert {name: len(prints) for name, prints in found.items()} == {"declared": 1, "own": 2}


# How it is found.


def test_hardware_is_looked_for_again_only_where_it_may_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look() -> Hardware:
        seen.append(GPU)
        return GPU

    monkeypatch.setattr(hardware, "probe", look)
    monkeypatch.delitem(sys.modules, "torch")
    assert [find_hardware(tmp_path) for _ in range(3)] == [GPU] * 3
    assert len(seen) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert find_hardware(tmp_path) == GPU
    assert len(seen) == 2
    monkeypatch.setattr(hardware, "version", lambda name: "another torch")
    find_hardware(tmp_path)
    assert len(seen) == 3
    monkeypatch.setitem(sys.modules, "torch", torch)
    find_hardware(tmp_path)
    assert len(seen) == 4, "torch tells itself what there is, and is here"


def test_hardware_is_what_torch_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for has_amx in (False, True):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has_amx=has_amx: {"amx_tile": has_amx})
        assert probe() == (AMX if has_amx else PLAIN)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert probe() == OLD_GPU
    assert probe().describe() == {
        "trainer.accelerator=auto": "cuda",
        "trainer.precision=auto": "32-true",
        "trainer.threads=null": str(count_threads()),
    }
