"""Data: how fast `prepare` and `statistics` are beside the decoder alone, and whether their memory stays flat.

The decoder alone is Pillow that opens, loads and resizes the same files, in as many threads or processes (whichever
is faster) as there are cores.
"""

from __future__ import annotations

import io
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.figures import Figure, by_turns
from pipeline.data.facts import Facts
from pipeline.data.prepared import write_prepared
from pipeline.data.threads import num_threads
from pipeline.transforms.statistics import measure, pieces_of

REPOSITORY = Path(__file__).parents[1]
IMAGES = 240
DISTINCT = 20  # of them
SIDES = (375, 500)  # rows and columns on disk
SHAPE = (3, 224, 224)
SPLITS = ("train", "train", "train", "train", "val", "test")  # of pairs of images
CLASSES = ("cat", "dog")
ROUNDS = 5
TASK = 10  # images that a process of the decoder is handed at once
GROWTH = 10  # times as many images


def measured() -> Iterator[Figure]:
    """Measure with noise of this moment's making, which is removed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from _speeds(folder / "jpeg")
        yield _growth(
            "prepare", {count: _photographs(folder / f"{count}", count) for count in (40, 40 * GROWTH)}
        )
        yield _growth(
            "statistics", {count: _array(folder / f"{count}.npy", count) for count in (80, 80 * GROWTH)}
        )


def prepare(root: Path) -> None:
    """Prepare a folder of photographs, and throw the result away."""
    with tempfile.TemporaryDirectory(dir=root.parent) as folder:
        write_prepared(_facts(root), Path(folder), data_digest="")


def statistics(path: Path) -> None:
    """Compute the statistics of a memory-mapped array."""
    measure(pieces_of(np.load(path, mmap_mode="r")), patch=None)


def peak_memory() -> int:
    """Return the most memory that this process has held, in KiB.

    Linux counts in `ru_maxrss` what the parent held when it started the process, and in VmHWM not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="ascii").split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _speeds(root: Path) -> Iterator[Figure]:
    """Yield images per second of both stages, and how they compare to the decoder's."""
    files = sorted(_photographs(root, IMAGES).rglob("*.jpg"))
    array = _array(root.parent / "images.npy", IMAGES)
    with ExitStack() as stack:
        works: dict[str, Callable[[], object]] = {
            "threads": _decoder(stack.enter_context(ThreadPoolExecutor(num_threads())), files),
            "processes": _decoder(
                stack.enter_context(ProcessPoolExecutor(num_threads(), get_context("spawn"))), files
            ),
            "prepare": partial(prepare, root),
            "statistics": partial(statistics, array),
        }
        found = by_turns(works, rounds=ROUNDS)
    rates = {name: [IMAGES / each for each in found[name]] for name in works}
    decoder = max(rates["threads"], rates["processes"], key=median)
    size = "{1} x {0} JPEG to {3} x {4}".format(*SIDES, *SHAPE)
    yield Figure.over(f"the decoder alone on all cores, {size}, images/s", decoder)
    for stage in ("prepare", "statistics"):
        yield Figure.over(f"{stage}, {size}, images/s", rates[stage])
        ratios = [ours / alone for ours, alone in zip(rates[stage], decoder, strict=True)]
        yield Figure.over(f"{stage}, images/s over those of the decoder alone on all cores", ratios, goal=0.8)


def _decoder(pool: Executor, files: list[Path]) -> Callable[[], object]:
    return lambda: list(pool.map(_decode, files, chunksize=TASK))


def _decode(path: Path) -> None:
    with Image.open(path) as image:
        image.load()
        image.resize(SHAPE[:0:-1], Image.Resampling.BILINEAR)


def _growth(stage: str, inputs: dict[int, Path]) -> Figure:
    """Return how many times as much memory a stage needs for many images as for few, each in a process of its own."""
    call = (
        f"from benchmarks import data; data.{stage}(data.Path(data.sys.argv[1])); print(data.peak_memory())"
    )
    peaks = [
        int(subprocess.check_output([sys.executable, "-c", call, str(path)], cwd=REPOSITORY))
        for path in inputs.values()
    ]
    few, many = inputs
    name = f"{stage}, peak memory for {many} images over that for {few}"
    return Figure.over(name, [peaks[1] / peaks[0]], goal=1.1, is_limit=True)


def _facts(root: Path) -> Facts:
    return Facts(
        name="photographs",
        format="class_folders",
        root=str(root),
        digest=None,
        shape=list(SHAPE),
        classes=list(CLASSES),
        split="folders",
        groups=None,
        fold=None,
        background=None,
        ignore_label=None,
        separator=None,
        mirror_changes_label=False,
        max_pixels=100_000_000,
        max_file_bytes=2**28,
        table=None,
        columns=None,
        mask_values=None,
        points=None,
        swapped_points=None,
        min_visible=0.25,
        degrade=None,
        allow_duplicates=False,
        resize="squash",
        padding_value=0,
        value_range=None,
        licence="none, it is noise",
    )


def _photographs(root: Path, count: int) -> Path:
    """Write JPEG files that are about as hard to decode as photographs: smooth colours and some grain."""
    random = np.random.default_rng(0)
    rows, columns = SIDES
    contents = []
    for _ in range(DISTINCT):
        coarse = random.integers(0, 256, (rows // 12, columns // 12, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((columns, rows), Image.Resampling.BICUBIC)
        grain = random.integers(-12, 13, (rows, columns, 1))
        pixels = (np.asarray(smooth) + grain).clip(0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        contents.append(file.getvalue())
    for index, content in enumerate(islice(cycle(contents), count)):
        path = root / SPLITS[index // 2 % len(SPLITS)] / CLASSES[index % 2] / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def _array(path: Path, count: int) -> Path:
    channels, rows, columns = SHAPE
    np.save(path, np.random.default_rng(0).integers(0, 256, (count, rows, columns, channels), dtype=np.uint8))
    return path
