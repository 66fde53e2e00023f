"""Full disks, missing rights and descriptors: one sentence with the file and the way out."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline import errors
from pipeline.errors import DESCRIPTORS, PLACE, RIGHTS, SPACE, ConfigError, StorageError
from pipeline.files import write_text
from pipeline.runs.cache import find_or_make
from pipeline.runs.command import Stopped, exit_on_mistake, stoppable
from pipeline.runs.folder import RunFolder
from pipeline.storage.memo import memoize_by_mtime
from pipeline.training.checkpoints import DurableCheckpointIO, read_checkpoint
from pipeline.trials.search import Outcome


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def os_error(number: int, path: str | None = "runs/a/last.ckpt") -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        *((number, SPACE) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)),
        *((number, RIGHTS) for number in (errno.EACCES, errno.EPERM, errno.EROFS)),
        *((number, PLACE) for number in (errno.ENOTDIR, errno.EEXIST)),
        *((number, DESCRIPTORS) for number in (errno.EMFILE, errno.ENFILE)),
    ],
    ids=str,
)
def test_error_of_the_system_names_the_file_and_the_way_out(number: int, hint: str) -> None:
    error = StorageError.behind(os_error(number))
    assert error is not None
    assert (error.path, error.problem, error.hint) == ("runs/a/last.ckpt", os.strerror(number), hint)


def raised(*errors: Exception) -> Exception:
    """Return the last of some errors, each raised while the one before it was handled."""
    known: Exception | None = None
    for each in errors:
        each.__context__, known = known, each
    assert known is not None
    return known


@pytest.mark.parametrize(
    ("reason", "path"),
    [
        (raised(os_error(errno.ENOSPC), ValueError("of MLflow")), "runs/a/last.ckpt"),
        (raised(os_error(errno.ENOSPC, "first"), os_error(errno.ENOSPC, "then")), "first"),
        (RuntimeError("[enforce fail] . PytorchStreamWriter failed writing file data/0"), "a file"),
        (RuntimeError("unable to open shared memory object: Too many open files (24)"), "a file"),
        (OSError([("a", "b", "[Errno 28] No space left on device")]), "a file"),
    ],
    ids=["behind another", "the first of two", "torch", "shared memory", "shutil"],
)
def test_error_behind_those_of_libraries_is_found(reason: Exception, path: str) -> None:
    error = StorageError.behind(reason)
    assert error is not None
    assert error.path == path


@pytest.mark.parametrize(
    "reason",
    [
        ValueError("ours"),
        FileNotFoundError(2, "no such file", "x"),
        raised(os_error(errno.EEXIST), KeyError()),
    ],
    ids=str,
)
def test_other_errors_are_not_of_storage(reason: Exception) -> None:
    assert StorageError.behind(reason) is None


def test_full_and_read_only_databases_are_told(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "mlflow.db")
    connection.execute("CREATE TABLE t (x)")
    connection.execute("PRAGMA max_page_count = 2")
    with pytest.raises(sqlite3.OperationalError) as full:
        connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
    connection.close()
    connection = sqlite3.connect(f"file:{tmp_path / 'mlflow.db'}?mode=ro", uri=True)
    with pytest.raises(sqlite3.OperationalError) as read_only:
        connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    for caught, hint in ((full, SPACE), (read_only, RIGHTS)):
        error = StorageError.behind(raised(caught.value, ValueError("of MLflow")))
        assert error is not None
        assert (error.path, error.hint) == ("mlflow.db", hint)


def test_full_disk_is_reported_in_one_sentence_and_the_old_file_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.json"
    write_text(path, "old")
    with files_limited_to(100), pytest.raises(SystemExit) as caught:
        exit_on_mistake(lambda: write_text(path, "new" * 1000))
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"error: {path}: File too large; {SPACE}\n"
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]


def test_last_good_checkpoint_survives_a_full_disk(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    writer = DurableCheckpointIO(folder)
    for epoch in range(2):
        writer.save_checkpoint({"epoch": epoch}, folder.last)
    with files_limited_to(100), pytest.raises(OSError, match="File too large") as caught:
        writer.save_checkpoint({"epoch": 2}, folder.last)
    assert caught.value.filename == str(folder.last)
    epochs = {path.name: read_checkpoint(path)["epoch"] for path in folder.path.iterdir()}
    assert epochs == {"last.ckpt": 1, "previous.ckpt": 0}


def test_full_disk_ends_a_search_and_is_no_outcome_of_a_trial() -> None:
    with pytest.raises(StorageError):
        Outcome.of_failure(os_error(errno.ENOSPC))
    assert Outcome.of_failure(ValueError("diverged")).reason == "ValueError: diverged"


# A cache that cannot be written.


@pytest.mark.parametrize("blocked", ["cache", "cache/stage"])
def test_result_is_made_elsewhere_where_a_file_is_in_the_place_of_the_cache(
    tmp_path: Path, blocked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    errors.warn.cache_clear()
    (tmp_path / blocked).parent.mkdir(exist_ok=True)
    (tmp_path / blocked).write_text("")
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "result").write_text("42")

    found = [find_or_make(tmp_path, "stage", f"{tmp_path.name}-key", make) for _ in range(2)]
    assert [(folder / "result").read_text() for folder in found] == ["42", "42"]
    assert len(made) == 1, "it is made once in a process"
    assert capsys.readouterr().err.count(f"{tmp_path / 'cache'} cannot be written") == 1


def test_result_in_the_cache_is_found_without_writing_anything(tmp_path: Path) -> None:
    made = find_or_make(tmp_path, "stage", "key", lambda folder: (folder / "x").touch())
    (tmp_path / "cache/stage/key.lock").unlink()
    assert find_or_make(tmp_path, "stage", "key", lambda folder: pytest.fail("made again")) == made
    assert not (tmp_path / "cache/stage/key.lock").exists()


def test_texts_are_computed_where_their_cache_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    errors.warn.cache_clear()
    (tmp_path / "cache").write_text("")
    for _ in range(2):
        assert memoize_by_mtime(tmp_path / "cache" / "x.json", [("a", "1", lambda: "A")]) == ["A"]
    assert capsys.readouterr().err == (
        f"warning: {tmp_path / 'cache'} cannot be written (File exists); going on without it\n"
    )


# Signals.


def test_first_signal_stops_and_the_next_ones_do_not_interrupt_cleaning_up() -> None:
    before = signal.getsignal(signal.SIGTERM)
    children, alarm = signal.getsignal(signal.SIGCHLD), signal.getsignal(signal.SIGALRM)
    cleaned = False
    try:
        with pytest.raises(Stopped) as caught, stoppable():  # noqa: PT012
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)
                signal.raise_signal(signal.SIGHUP)
                cleaned = True
    finally:
        signal.alarm(0)
        for number, known in ((signal.SIGCHLD, children), (signal.SIGALRM, alarm)):
            signal.signal(number, known)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, before)
    assert cleaned
    assert (caught.value.code, caught.value.signal) == (143, signal.SIGTERM)


def test_handlers_are_put_back_and_ignored_signals_stay_ignored() -> None:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(each) for each in signals]
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as below nohup
    try:
        with stoppable():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) != before[1]
    finally:
        signal.signal(signal.SIGHUP, before[2])
    assert [signal.getsignal(each) for each in signals] == before


@pytest.mark.parametrize(
    "error",
    [Stopped(signal.SIGTERM), StorageError("a", "is full", hint="b"), ConfigError("a", got=1, allowed="2")],
    ids=str,
)
def test_errors_are_passed_on_from_the_workers_of_a_launcher(error: BaseException) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
