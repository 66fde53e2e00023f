"""A tiny experiment, whose stages run in this process in a second each, as `dvc repro` runs them."""

from __future__ import annotations

import importlib
import io
import os
import shutil
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from pipeline import errors
from pipeline.errors import ConfigError
from tests.makers import write_class_folders

FLIP = "{_target_: albumentations.HorizontalFlip, p: 0.5}"
OVERRIDES = [
    *("data.name=tiny", "data.root=data", "data.format=class_folders", "data.digest=null"),
    *(
        "data.shape=[1,8,8]",
        "data.classes=[cat,dog]",
        "data.split=folders",
        "data.mirror_changes_label=false",
    ),
    *(f"augmentation.steps=[{FLIP}]", "augmentation.copies=2", "model=linear"),
    *(
        "trainer.max_epochs=2",
        "trainer.threads=1",
        "trainer.batch_size=4",
        "trainer.progress=false",
        "tracking.log_model=false",
    ),
    *("data.groups=null", "name=tiny", "search.name=small", "search.trials=2"),
    "+search.space={optimizer.lr: 'tag(log, interval(1.0e-4, 1.0))'}",
]
COMPOSED, BEST = "artifacts/compose/tiny.yaml", "artifacts/search/tiny/best.yaml"
STAGES = {  # name -> arguments
    "compose": [COMPOSED, *OVERRIDES],
    "prepare": [COMPOSED, "artifacts/prepare/tiny"],
    "statistics": [COMPOSED, "artifacts/statistics/tiny"],
    "augment": [COMPOSED, "artifacts/augment/tiny"],
    "search": [COMPOSED, "artifacts/search/tiny", *OVERRIDES],
    "train": [BEST, "artifacts/train/tiny"],
    "evaluate": ["artifacts/train/tiny", "artifacts/evaluate/tiny", BEST],
    "report": ["artifacts", "artifacts/report"],
}


@dataclass(frozen=True)
class Ended:
    """How a command ended: `error` is a `ConfigError` in one sentence, `trace` the traceback of anything else."""

    said: str
    error: ConfigError | None
    trace: str


def run_stage(root: Path, stage: str, *more: str) -> Ended:
    """Run a stage in a folder, as a process of its own would; more arguments count as well."""
    error, trace, said = None, "", io.StringIO()
    arguments, folder, path = sys.argv, Path.cwd(), list(sys.path)
    errors.warn.cache_clear()  # it warns once per process
    sys.argv = [f"pipeline.{stage}", *STAGES[stage], *more]
    os.chdir(root)
    try:
        with redirect_stderr(said), redirect_stdout(said):
            importlib.import_module(f"pipeline.{stage}").main()
    except ConfigError as mistake:
        error = mistake
    except Exception:  # what a user would see as a traceback
        trace = traceback.format_exc()
    finally:
        sys.argv, sys.path[:] = arguments, path
        os.chdir(folder)
    return Ended(said.getvalue() + (f"error: {error}" if error else ""), error, trace)


def make_project(root: Path, *more: str, num_images: int = 3) -> Path:
    """Run all stages in a new folder; more overrides count as well."""
    root.mkdir(parents=True)
    write_class_folders(root / "data", num_images=num_images)
    for stage in STAGES:
        ended = run_stage(root, stage, *(more if stage in ("compose", "search") else ()))
        assert (ended.error, ended.trace) == (None, ""), f"{stage}: {ended}"
    return root


def contents(root: Path, *folders: str) -> dict[str, bytes]:
    """Return the bytes of all files in some folders of a project."""
    files = [file for folder in folders for file in (root / folder).rglob("*") if file.is_file()]
    return {file.relative_to(root).as_posix(): file.read_bytes() for file in files}


def copy_project(source: Path, target: Path) -> Path:
    """Copy a project as an archive or a backup does: nothing is shared with the original, times are kept."""
    return Path(shutil.copytree(source, target, symlinks=True))


class Reads:
    """Record the files that this process opens to read."""

    def __init__(self) -> None:
        self._opened: set[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._opened is not None and event == "open" and isinstance(arguments[0], str | Path):
            flags = arguments[2]
            if isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR) == 0:
                self._opened.add(os.path.realpath(arguments[0]))

    @contextmanager
    def of(self, root: Path) -> Iterator[set[str]]:
        """Collect the files of a project that are read inside the block, relative to it."""
        found: set[str] = set()
        self._opened = set()
        try:
            yield found
        finally:
            home = f"{root.resolve()}/"
            found |= {name.removeprefix(home) for name in self._opened if name.startswith(home)}
            self._opened = None
