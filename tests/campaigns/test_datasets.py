"""Bad data sets: each is used rightly, or refused in one sentence that names file or setting, within seconds."""

import csv
import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.prepared import Prepared
from pipeline.errors import ConfigError
from pipeline.training.inputs import prepare
from tests.campaigns.datasets import Case, cases
from tests.campaigns.images import pixels
from tests.makers import data_section, declaration

MOST_SECONDS = 5.0  # of the processor, so that a busy machine does not count
HANGS = 120.0  # seconds after which a case counts as endless
MOST_BYTES = 600 * 2**20  # of memory, beside what the libraries take
CASES = cases()


def use(case: Case, root: Path) -> str:
    """Prepare a data set as a command does; return what is said, empty if it was prepared."""
    written = case.write(root)
    os.chdir(root)
    start = time.process_time()
    section = data_section(root / case.container, format=case.source) | (case.facts or {})
    try:
        tiny = declaration(section)
        prepared = Prepared.open(prepare(tiny, root=root), tiny.data)
    except ConfigError as refusal:
        return str(refusal)
    finally:
        assert time.process_time() - start < MOST_SECONDS, f"took {time.process_time() - start} seconds"
    check(prepared, written, section)
    return ""


def check(prepared: Prepared, written: dict[str, bytes], section: dict[str, Any]) -> None:
    """Check that what was prepared are the images that were written, as Pillow alone reads them."""
    names = [name for split in ("train", "val", "test") for name in prepared.files(split)]
    assert len(names) == len(set(names)) >= 3
    for split in ("train", "val", "test"):
        for name, image in zip(prepared.files(split), prepared.images(split), strict=True):
            expected = pixels(written[name]) if name in written else None
            if expected is not None and expected.shape == image.shape[:2]:
                np.testing.assert_array_equal(image[..., 0], expected)
    with (prepared.folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(names)
    assert section["format"] in ("class_folders", "image_masks")


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def child(case: Case, root: Path, answer: Connection) -> None:
    before = memory()
    try:
        said = use(case, root)
        answer.send(("said", said, memory() - before))
    except BaseException:
        answer.send(("failed", traceback.format_exc(), memory() - before))


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Case], tuple[str, str, int]]:
    """Return a function that uses a data set in a process of its own, which it ends if it hangs."""

    def run_case(case: Case) -> tuple[str, str, int]:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        process = context.Process(target=child, args=(case, tmp_path, theirs))
        process.start()
        if not ours.poll(HANGS):
            process.kill()
            process.join()
            return "failed", "hangs", 0
        result: tuple[str, str, int] = ours.recv()
        process.join()
        return result

    return run_case


def examine(case: Case, run: Callable[[Case], tuple[str, str, int]], root: Path) -> None:
    how, said, num_bytes = run(case)
    assert how == "said", said
    assert num_bytes < MOST_BYTES
    assert (said == "") == case.taken, said
    assert "\n" not in said
    assert said == "" or any(each in said for each in ("data.", ".png", str(root)))
    assert said == "" or "; " in said or " must be " in said, "it names no way out"
    assert " object at 0x" not in said


@pytest.mark.parametrize("case", CASES[::50], ids=str)
def test_data_set_of_a_stranger(case: Case, run: Any, tmp_path: Path) -> None:
    examine(case, run, tmp_path)


@pytest.mark.campaign
@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_data_set_of_a_stranger(case: Case, run: Any, tmp_path: Path) -> None:
    examine(case, run, tmp_path)
