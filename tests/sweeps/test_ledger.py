"""The ledger: what was written is read again, and what was half written is not."""

import json
from math import isnan, nan
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.runs.lock import is_held, locked
from pipeline.storage.sealed import CHANGED
from pipeline.sweeps.ledger import Ledger, Trial
from tests.refusals import refused

IDENTITY: dict[str, Any] = {"declaration": {"seed": 0, "optimizer": {"lr": 0.1}}, "search": {"seed": 3}}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    opened = Ledger(tmp_path / "runs" / "searches" / "digits-coarse")
    opened.open(IDENTITY)
    return opened


def test_nothing_is_written_before_a_ledger_is_opened(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "digits-coarse")
    assert ledger.about() == {}
    assert ledger.trials() == {}
    assert not ledger.folder.exists()


def test_same_search_takes_its_ledger_up_again(ledger: Ledger) -> None:
    ledger.update(mlflow_run_id="abc")
    trial = ledger.settle(ledger.start(Trial(0, {"optimizer.lr": 0.1})), "finished", values=[0.5])
    again = Ledger(ledger.folder)
    again.open({"search": {"seed": 3}, "declaration": {"optimizer": {"lr": 0.1}, "seed": 0}})
    assert again.about() == {"identity": IDENTITY, "mlflow_run_id": "abc"}
    assert again.trials() == {0: trial}


def test_tuples_of_an_identity_are_as_good_as_lists(tmp_path: Path) -> None:
    Ledger(tmp_path).open({"shape": (1, 8, 8)})
    Ledger(tmp_path).open({"shape": [1, 8, 8]})


@pytest.mark.parametrize(
    ("asked", "difference"),
    [
        ({**IDENTITY, "search": {"seed": 4}}, "search.seed was 3 there and is 4 now"),
        (
            {**IDENTITY, "declaration": {"seed": 0, "optimizer": {"lr": "a"}}},
            "declaration.optimizer.lr was 0.1 there and is 'a' now",
        ),
        ({**IDENTITY, "search": {"seed": 3, "keep": "x"}}, "search.keep was 'absent' there and is 'x' now"),
        ({"declaration": IDENTITY["declaration"]}, "search was {'seed': 3} there and is 'absent' now"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_another_search_is_refused_with_the_first_difference(
    ledger: Ledger, asked: dict[str, Any], difference: str
) -> None:
    text = (
        f"search.name: {ledger.folder} holds another search: {difference}; choose another search.name for this one, or "
        "remove that folder"
    )
    with refused("search.name", hint="choose another search.name", text=text):
        Ledger(ledger.folder).open(asked)
    assert ledger.about() == {"identity": IDENTITY}


def test_setting_that_an_older_ledger_does_not_know_is_refused_by_name(ledger: Ledger) -> None:
    with refused("search.name", hint="choose another search.name") as caught:
        ledger.open({**IDENTITY, "search": {"seed": 3, "keep": None}})
    assert "search.keep" in caught.value.problem


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("finished", {"values": [0.5, 0.25], "curves": [[0.1, 0.5], [0.25]]}),
        ("pruned", {"values": [0.5], "curves": [[0.5]], "reason": "stopped after 1 of 9 epochs by median"}),
        ("failed", {"reason": "out of memory"}),
    ],
)
def test_trial_goes_from_running_to_how_it_ended(ledger: Ledger, state: str, found: dict[str, Any]) -> None:
    trial = Trial(0, {"model.width": 2})
    started = ledger.start(trial)
    assert ledger.trials() == {0: started}
    assert started == Trial(0, {"model.width": 2}, state="running", attempts=1)
    twice = ledger.start(started)
    assert twice.attempts == 2
    settled = ledger.settle(twice, state, **found)
    assert settled == ledger.trials()[0] == Trial(0, trial.point, state, attempts=2, **found)


def test_difference_is_that_of_the_identity_and_none_before_there_is_one(
    ledger: Ledger, tmp_path: Path
) -> None:
    assert Ledger(tmp_path / "new").difference(IDENTITY) is None
    assert ledger.difference(json.loads(json.dumps(IDENTITY))) is None
    ledger.update(mlflow_run_id="abc")
    assert ledger.difference(IDENTITY) is None
    assert ledger.difference({**IDENTITY, "search": {"seed": 4}}) == "search.seed was 3 there and is 4 now"


def test_ledgers_set_aside_are_all_kept_and_the_name_is_free_again(ledger: Ledger) -> None:
    trials = []
    for number in (1, 2):
        ledger.open(IDENTITY)
        trials.append(ledger.settle(ledger.start(Trial(number, {"k": number})), "finished", values=[0.5]))
        place = ledger.set_aside()
        assert place == ledger.folder.parent / f"digits-coarse.before{number}"
        assert (ledger.about(), ledger.trials()) == ({}, {})
    for number, trial in enumerate(trials, start=1):
        kept = Ledger(ledger.folder.parent / f"digits-coarse.before{number}")
        assert (kept.about(), kept.trials()) == ({"identity": IDENTITY}, {number: trial})


def test_lock_of_a_search_set_aside_stays_where_its_holder_has_it(ledger: Ledger) -> None:
    with locked(ledger.folder / "lock", waits=False):
        (ledger.folder / "results").mkdir()
        place = ledger.set_aside()
        assert [path.name for path in ledger.folder.iterdir()] == ["lock"]
        assert is_held(ledger.folder / "lock")
    assert {path.name for path in place.iterdir()} == {"results", "search.json", "trials"}


@pytest.mark.parametrize("moved", range(4))
def test_ledger_that_was_half_set_aside_when_killed_is_set_aside_as_another_still(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    ledger.start(Trial(0, {"k": 1}))
    for name in ("a_picture", "z_picture"):
        (ledger.folder / name).mkdir()
    rename, done = Path.rename, []

    def dies(path: Path, target: Path) -> Path:
        if len(done) == moved:
            raise KeyboardInterrupt
        done.append(path)
        return rename(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dies)
        with pytest.raises(KeyboardInterrupt):
            ledger.set_aside()
    assert ledger.difference({**IDENTITY, "search": {"seed": 4}}) is not None
    ledger.set_aside()
    assert list(ledger.folder.iterdir()) == []
    kept = sorted(path.name for path in ledger.folder.parent.glob("*.before*/*"))
    assert kept == ["a_picture", "search.json", "trials", "z_picture"]


def test_trials_come_in_their_order_however_they_were_written(ledger: Ledger) -> None:
    for index in (10, 2, 100, 0):
        ledger.start(Trial(index, {"k": index}))
    assert list(ledger.trials()) == [0, 2, 10, 100]
    assert [trial.point["k"] for trial in ledger.trials().values()] == [0, 2, 10, 100]


@pytest.mark.parametrize("draft", ['{"index": 1, "po', ""], ids=["half", "empty"])
def test_half_written_draft_is_not_seen(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, draft: str) -> None:
    trial = ledger.start(Trial(0, {"k": 1}))

    def killed(path: Path, text: str, **kwargs: Any) -> int:
        with path.open("w") as file:
            file.write(draft)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", killed)
        with pytest.raises(KeyboardInterrupt):
            ledger.settle(trial, "finished", values=[1.0])
        with pytest.raises(KeyboardInterrupt):
            ledger.start(Trial(1, {"k": 2}))
        with pytest.raises(KeyboardInterrupt):
            ledger.update(mlflow_run_id="abc")
    assert Ledger(ledger.folder).trials() == {0: trial}
    assert ledger.about() == {"identity": IDENTITY}
    assert ledger.settle(trial, "finished", values=[1.0]) == ledger.trials()[0]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@settings(deadline=None)  # files are flushed to the disk, which may be busy
@given(
    point=st.dictionaries(st.text(min_size=1), SCALARS | st.lists(SCALARS)),
    values=st.lists(st.floats(allow_nan=False), min_size=1),
    curves=st.lists(st.lists(st.floats(allow_nan=False))),
)
def test_points_values_and_curves_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory,
    point: dict[str, Any],
    values: list[float],
    curves: list[list[float]],
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    ledger.open({})
    trial = ledger.settle(ledger.start(Trial(3, point)), "finished", values=values, curves=curves)
    assert ledger.trials() == {3: trial}
    kinds = {key: type(value) for key, value in ledger.trials()[3].point.items()}
    assert kinds == {key: type(value) for key, value in point.items()}


def test_curve_with_a_score_that_is_not_a_number_is_read_again(ledger: Ledger) -> None:
    ledger.settle(ledger.start(Trial(0, {})), "pruned", values=[0.5], curves=[[nan, 0.5]])
    [[first, second]] = Ledger(ledger.folder).trials()[0].curves
    assert isnan(first)
    assert second == 0.5


def test_files_are_as_the_module_says(ledger: Ledger) -> None:
    ledger.settle(
        ledger.start(Trial(7, {"optimizer.lr": 1e-05})), "finished", values=[0.5], curves=[[0.25, 0.5]]
    )
    files = {path.relative_to(ledger.folder).as_posix() for path in ledger.folder.rglob("*.json")}
    assert files == {"search.json", "trials/00007.json"}
    written = json.loads((ledger.folder / "trials" / "00007.json").read_text())
    assert len(written.pop("sha256")) == 64
    assert written == {
        "index": 7,
        "point": {"optimizer.lr": 1e-05},
        "state": "finished",
        "attempts": 1,
        "values": [0.5],
        "losses": [],
        "curves": [[0.25, 0.5]],
        "reason": "",
    }


def with_trials(folder: Path, **identity: Any) -> Ledger:
    opened = Ledger(folder)
    opened.open(IDENTITY | identity)
    for index in (0, 1):
        opened.settle(Trial(index, {"optimizer.lr": 0.1}), "finished", values=[0.5])
    return opened


@pytest.mark.parametrize("source", ["nothing", "a trial of another search", "another trial"])
def test_damaged_trial_is_left_out_to_be_run_again(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger, other = with_trials(tmp_path / "one"), with_trials(tmp_path / "other", seed=1)
    file = ledger.folder / "trials" / "00000.json"
    files = {
        "nothing": b"",
        "a trial of another search": (other.folder / "trials" / "00000.json").read_bytes(),
        "another trial": (ledger.folder / "trials" / "00001.json").read_bytes(),
    }
    file.write_bytes(files[source])
    assert ledger.trials().keys() == {1}
    problem = CHANGED if files[source] else "is empty"
    assert capsys.readouterr().err == f"warning: {file} {problem}; this trial is run again\n"
    ledger.start(Trial(0, {}))
    assert ledger.trials().keys() == {0, 1}


def test_damaged_identity_is_written_again_and_trials_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = with_trials(tmp_path / "one")
    file = ledger.folder / "search.json"
    file.write_text(file.read_text().replace("0.1", "0.2"))
    again = Ledger(ledger.folder)
    assert again.difference(IDENTITY) is None
    again.open(IDENTITY)
    said = f"warning: {file} {CHANGED}; the command that runs this search writes it again\n"
    assert capsys.readouterr().err == said
    assert again.trials().keys() == {0, 1}


@pytest.mark.parametrize("around", [None, [{"optimizer.lr": 0.1}]])
def test_trials_of_another_search_are_set_aside_where_its_identity_is_damaged(
    around: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = with_trials(tmp_path / "one")
    (ledger.folder / "search.json").write_text("")
    again = Ledger(ledger.folder)
    again.open(IDENTITY | ({} if around else {"seed": 1}), around=around)
    assert again.trials() == {}
    place = ledger.folder.with_name("one.before1")
    assert {path.name for path in (place / "trials").iterdir()} == {"00000.json", "00001.json"}
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"warning: {ledger.folder} may hold another search, and was set aside as one.before1"
