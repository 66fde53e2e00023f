"""A parent run: its context is that of its children while it is open, and it is closed as what happened."""

import os
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.runs.context import PARENT, SEARCH, SWEPT, RunContext
from pipeline.tracking.comparison import log_search
from pipeline.tracking.parents import Parent
from pipeline.tracking.run import TrackedRun

VARIABLES = (PARENT, SEARCH, SWEPT)


@pytest.fixture(autouse=True)
def no_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def status_of(run: TrackedRun) -> tuple[str, str | None]:
    found = run.store.client.get_run(run.run_id)
    return found.info.status, found.data.tags.get("convoy.reason")


def test_context_is_that_of_its_children_and_exported_while_it_is_open(tracked: TrackedRun) -> None:
    root = tracked.store.root
    with Parent(tracked, swept=["optimizer.lr", "seed"], search="runs/searches/a-b") as parent:
        assert parent.tracked is tracked
        wanted = RunContext(root, tracked.run_id, "runs/searches/a-b", ("optimizer.lr", "seed"))
        assert parent.context == wanted
        assert RunContext.from_environment(root) == wanted
    assert not set(VARIABLES) & os.environ.keys()


def test_sweep_is_no_search(tracked: TrackedRun) -> None:
    with Parent(tracked, swept=["seed"]) as parent:
        assert parent.context.search is None
        assert SEARCH not in os.environ


@pytest.mark.parametrize(
    ("reason", "status", "tag"),
    [
        (KeyboardInterrupt(), "KILLED", None),
        (SystemExit(1), "KILLED", None),
        (
            ConfigError("search", "no trial has a value"),
            "FAILED",
            "ConfigError: search: no trial has a value",
        ),
        (OSError("disk full"), "FAILED", "OSError: disk full"),
    ],
    ids=["interrupt", "exit", "mistake", "error"],
)
def test_parent_is_closed_as_what_happened(
    reason: BaseException, status: str, tag: str | None, tracked: TrackedRun
) -> None:
    with pytest.raises(type(reason)), Parent(tracked, swept=[]):
        raise reason
    assert status_of(tracked) == (status, tag)
    assert not set(VARIABLES) & os.environ.keys()


def test_parent_whose_work_is_done_is_finished(tracked: TrackedRun) -> None:
    with Parent(tracked, swept=[]):
        pass
    assert status_of(tracked) == ("FINISHED", None)


def test_one_child_at_a_time_is_tagged_as_the_best(tracked: TrackedRun, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    children = []
    for number in range(3):
        child = TrackedRun.start(tracked.store, name=f"lr={number}", parent=tracked.run_id, tags={})
        child.log_config({"search": {"trial": number}})
        children.append(child)
    for best in (2, 0):  # the search went on, and found a better one
        log_search(
            tracked,
            tmp_path / "results",
            best=children[best].run_id,
            name=f"lr={best}",
            value=best / 10,
            page="# best",
        )
        tags = tracked.store.client.get_run(tracked.run_id).data.tags
        assert tags["convoy.best_run"] == children[best].run_id
        assert tags["convoy.best_name"] == f"lr={best}"
        tagged = [
            number
            for number, child in enumerate(children)
            if "convoy.best_of" in tracked.store.client.get_run(child.run_id).data.tags
        ]
        assert tagged == [best]
