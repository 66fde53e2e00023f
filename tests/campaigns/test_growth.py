"""What grows with the number of trials or images, and must not: memory, open files, memory maps, time for each.

`CAMPAIGN_TRIALS` (300) and `CAMPAIGN_IMAGES` (50000) set the sizes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

from pipeline.files import yaml_text
from tests.doors.dvc import PARAMS, shrink
from tests.doors.project import TINY, Project, clone_checkout, empty_project
from tests.makers import data_section, declaration, encode, write_files
from tests.tidy import assert_tidy, rows

TRIALS = int(os.environ.get("CAMPAIGN_TRIALS", "300"))
IMAGES = int(os.environ.get("CAMPAIGN_IMAGES", "50000"))

# A search in one process, which notes after each trial what it holds.
SEARCH = """
import json, os, sys, time
from pathlib import Path
from pipeline.trials import runner
from pipeline.trials.declared import load_search

samples = []

def sample(trial):
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    samples.append({
        "seconds": time.process_time(),
        "megabytes": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "files": len(os.listdir("/proc/self/fd")),
        "maps": sum(".npy" in line for line in Path("/proc/self/maps").read_text().splitlines()),
        "state": trial.state,
    })

runner._report_trial = lambda search: sample
runner.run_search(load_search(sys.argv[2:], root=Path.cwd()), root=Path.cwd(), entry_point="sweep")
Path(sys.argv[1]).write_text(json.dumps(samples))
"""

# A command that notes the most memory it had, and how many files it had open at its end.
MEASURED = """
import json, os, resource, runpy, sys, time
from pathlib import Path
out, module = sys.argv[1:3]
sys.argv = [module, *sys.argv[3:]]
start = time.monotonic()
runpy.run_module(module, run_name="__main__")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
found = {"megabytes": peak, "files": len(os.listdir("/proc/self/fd")), "seconds": time.monotonic() - start}
Path(out).write_text(json.dumps(found))
"""

# Put in front of every Python process: it notes each attempt to reach another machine.
WATCH = """
import os, sys

def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if host not in (None, "", "localhost", "127.0.0.1", "::1"):
        note(event, arguments)

def note(event, what):
    with open(os.environ["CAMPAIGN_CONNECTIONS"], "a") as file:
        file.write(f"{sys.argv} {event} {what}\\n")

sys.addaudithook(watch)
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return empty_project(tmp_path)


def run_search(project: Project, trials: int) -> list[dict[str, Any]]:
    overrides = [
        *TINY,
        "trainer.max_epochs=1",
        "model.width=0.25",
        "search=coarse",
        f"search.trials={trials}",
    ]
    project.run(sys.executable, "-c", SEARCH, "samples.json", *overrides)
    samples: list[dict[str, Any]] = json.loads((project.root / "samples.json").read_text())
    assert len(samples) == trials
    assert {sample["state"] for sample in samples} == {"finished"}
    assert_tidy(project.root)
    counted = rows(project.root, "SELECT count(*) FROM metrics WHERE key = 'train/loss'")
    assert counted == [(trials + 1,)], "and the declared values"
    return samples


def assert_flat(samples: list[dict[str, Any]], key: str, *, ratio: float, more: float) -> None:
    """Check that the median of the last third is at most some factor and amount above that of the first third."""
    third = len(samples) // 3
    first, last = (median(each[key] for each in part) for part in (samples[:third], samples[-third:]))
    assert last <= first * ratio + more, f"{key} grew from {first} to {last}"


def check_trials(project: Project, trials: int) -> None:
    samples = run_search(project, trials)
    times = [sample["seconds"] for sample in samples]
    for sample, before, after in zip(samples[1:], times, times[1:], strict=False):
        sample["seconds"] = after - before
    samples = samples[1:]  # the first one prepares the data
    assert_flat(samples, "megabytes", ratio=1.1, more=100)
    assert_flat(samples, "files", ratio=1.0, more=4)
    assert_flat(samples, "maps", ratio=1.0, more=16)
    assert_flat(samples, "seconds", ratio=1.5, more=0.5)


@pytest.mark.slow
def test_few_trials_hold_on_to_nothing(project: Project) -> None:
    check_trials(project, 7)


@pytest.mark.campaign
def test_many_trials_hold_on_to_nothing(project: Project) -> None:
    check_trials(project, TRIALS)


def write_images(path: Path, count: int) -> None:
    """Write a zip of tiny images in two classes and three splits."""
    images = np.random.default_rng(0).integers(0, 256, (count, 8, 8), dtype=np.uint8)
    splits = ["train"] * 8 + ["val", "test"]
    names = [
        f"{splits[index // 2 % 10]}/{('cat', 'dog')[index % 2]}/{index:06}.png" for index in range(count)
    ]
    write_files(path, {name: encode(pixels) for name, pixels in zip(names, images, strict=True)})


def measure(project: Project, count: int, stages: Sequence[str]) -> dict[str, dict[str, float]]:
    """Prepare so many images, and train on them for an epoch; return what each command took."""
    folder = project.root / str(count)
    write_images(folder / "data.zip", count)
    sections = declaration(data_section(f"{count}/data.zip")).sections
    model = {
        **sections["model"],
        "layers": [{"conv": 4, "kernel": 3}],
        "head": ["flatten", {"linear": "outputs"}],
    }
    trainer = {**sections["trainer"], "max_epochs": 1, "batch_size": 250}
    tracking = {**sections["tracking"], "log_model": False}
    changed = {**sections, "model": model, "trainer": trainer, "tracking": tracking, "name": f"images{count}"}
    (folder / "declared.yaml").write_text(yaml_text(changed), encoding="utf-8")
    found = {}
    for stage in stages:
        out = f"{count}/{stage}.json"
        command = [
            sys.executable,
            "-c",
            MEASURED,
            out,
            f"pipeline.{stage}",
            f"{count}/declared.yaml",
            f"{count}/{stage}",
        ]
        project.run(*command)
        found[stage] = json.loads((project.root / out).read_text())
    return found


def check_images(project: Project, count: int, *stages: str) -> None:
    few, many = measure(project, count // 10, stages), measure(project, count, stages)
    megabytes = 8 * 8 * count / 2**20  # of the arrays, which are mapped and may count as memory
    for stage in few:
        assert many[stage]["megabytes"] <= few[stage]["megabytes"] + 4 * megabytes + 100, stage
        assert many[stage]["files"] <= few[stage]["files"] + 4, stage
        assert many[stage]["seconds"] <= 12 * few[stage]["seconds"] + 30, stage


@pytest.mark.slow
def test_some_images_take_little(project: Project) -> None:
    check_images(project, 1000, "prepare")


@pytest.mark.campaign
def test_many_images_take_little(project: Project) -> None:
    check_images(project, IMAGES, "prepare", "train")


@pytest.mark.campaign
def test_reproduction_reaches_for_no_other_machine(tmp_path: Path) -> None:
    """Pull the data from the store in git, and reproduce an experiment, where there is no network."""
    project = clone_checkout(tmp_path / "clone")
    shrink(project, PARAMS.replace("max_epochs=8", "max_epochs=1"))
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    noted = tmp_path / "connections.txt"
    search = f"{tmp_path / 'watch'}{os.pathsep}{project.environment['PYTHONPATH']}"
    project.environment |= {"PYTHONPATH": search, "CAMPAIGN_CONNECTIONS": str(noted)}
    project.environment |= {"DVC_NO_ANALYTICS": "true"}  # as the Makefile sets it
    apart = ["unshare", "--user", "--map-root-user", "--net"] if can_be_apart(project) else []
    said = run_anew(project, *apart, "bash", "-c", "dvc pull --remote store data.dvc && dvc repro")
    assert "Running stage 'report'" in said
    assert not noted.exists(), noted.read_text()
    assert_watched(project, noted)


def run_anew(project: Project, *command: str) -> str:
    """Run a command in interpreters of its own, which import what is watched; return what it printed."""
    done = subprocess.run(
        command, cwd=project.root, env=project.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def can_be_apart(project: Project) -> bool:
    """Return whether this machine lets a user make a namespace without network."""
    if shutil.which("unshare") is None:
        return False
    said = run_anew(project, "sh", "-c", "unshare --user --map-root-user --net true && echo yes || echo no")
    return "yes" in said


def assert_watched(project: Project, noted: Path) -> None:
    """Check that an attempt would have been noted."""
    attempt = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    run_anew(project, "sh", "-c", f'{sys.executable} -c "{attempt}" || true')
    assert "192.0.2.1" in noted.read_text()
