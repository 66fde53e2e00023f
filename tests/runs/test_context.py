"""The context of a run: it survives the way through environment variables, which are left as they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.runs.context import PARENT, SEARCH, SWEPT, RunContext, exported

ROOT = Path("project")
NAMES = (PARENT, SEARCH, SWEPT)
WHOLE = RunContext(ROOT, "1f0", "runs/searches/a-b", ("optimizer.lr", "model@model.encoder"))
TEXTS = st.text("abc/.@_-ü ", min_size=1, max_size=8)
CONTEXTS = st.builds(
    RunContext,
    st.just(ROOT),
    parent=st.none() | TEXTS,
    search=st.none() | TEXTS,
    swept=st.lists(TEXTS, max_size=4).map(tuple),
)


@pytest.fixture(autouse=True, scope="module")
def _no_outer_context() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
        yield


@given(context=CONTEXTS)
def test_context_is_the_same_after_its_way_through_the_environment(context: RunContext) -> None:
    with context.exported():
        assert RunContext.from_environment(ROOT) == context
    assert RunContext.from_environment(ROOT) == RunContext(ROOT)


def test_each_part_travels_in_a_variable_of_its_own() -> None:
    assert WHOLE.variables() == {
        "CONVOY_PARENT_RUN_ID": "1f0",
        "CONVOY_SEARCH": "runs/searches/a-b",
        "CONVOY_SWEPT_KEYS": "optimizer.lr,model@model.encoder",
    }
    assert RunContext(ROOT).variables() == {}
    assert RunContext(ROOT, parent="1f0").variables() == {"CONVOY_PARENT_RUN_ID": "1f0"}


def test_process_that_starts_in_the_meantime_has_the_context(tmp_path: Path) -> None:
    read = (
        "import json, sys; from pathlib import Path; from pipeline.runs.context import RunContext\n"
        "found = RunContext.from_environment(Path(sys.argv[1]))\n"
        "print(json.dumps([str(found.root), found.parent, found.search, found.swept]))"
    )
    with WHOLE.exported():
        said = subprocess.run(
            [sys.executable, "-c", read, str(tmp_path)], capture_output=True, text=True, check=True
        )
    assert json.loads(said.stdout) == [str(tmp_path), WHOLE.parent, WHOLE.search, list(WHOLE.swept)]


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_set_before_is_restored(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PARENT, "outer")
    monkeypatch.setenv(SWEPT, "")
    monkeypatch.delenv(SEARCH, raising=False)
    before = dict(os.environ)
    try:
        with WHOLE.exported():
            assert [os.environ[name] for name in NAMES] == list(WHOLE.variables().values())
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert dict(os.environ) == before


def test_inner_context_hides_the_outer_one_for_a_while() -> None:
    inner = RunContext(ROOT, "2f0", "runs/searches/c-d", ("seed",))
    with WHOLE.exported():
        with inner.exported():
            assert RunContext.from_environment(ROOT) == inner
        assert RunContext.from_environment(ROOT) == WHOLE


@pytest.mark.parametrize("lacking", [RunContext(ROOT), RunContext(ROOT, parent="2f0")], ids=["none", "sweep"])
def test_part_that_a_context_lacks_is_not_taken_from_an_outer_one(lacking: RunContext) -> None:
    with WHOLE.exported(), lacking.exported():
        assert RunContext.from_environment(ROOT) == lacking


def test_other_variables_are_exported_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOY_A", "before")
    monkeypatch.delenv("CONVOY_B", raising=False)
    with exported({"CONVOY_A": "1", "CONVOY_B": "2"}):
        assert (os.environ["CONVOY_A"], os.environ["CONVOY_B"]) == ("1", "2")
    assert os.environ["CONVOY_A"] == "before"
    assert "CONVOY_B" not in os.environ
