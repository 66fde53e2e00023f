"""The ledger: what was written is read again, and what was half written is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.sweeps.ledger import Ledger, Trial

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
    trial = ledger.finish(ledger.start(Trial(0, {"optimizer.lr": 0.1})), [0.5])
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
        ({**IDENTITY, "search": {"seed": 3, "after": "x"}}, "search.after was 'absent' there and is 'x' now"),
        ({"declaration": IDENTITY["declaration"]}, "search was {'seed': 3} there and is 'absent' now"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_another_search_is_refused_with_the_first_difference(
    ledger: Ledger, asked: dict[str, Any], difference: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        Ledger(ledger.folder).open(asked)
    assert str(refused.value) == (
        f"search.name: {ledger.folder} holds another search: {difference}; choose another search.name for this one, or "
        "remove that folder"
    )
    assert ledger.about() == {"identity": IDENTITY}


def test_setting_that_an_older_ledger_does_not_know_is_refused_by_name(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match=r"search\.after"):
        ledger.open({**IDENTITY, "search": {"seed": 3, "after": None}})


def test_trial_goes_from_running_to_finished_or_failed(ledger: Ledger) -> None:
    trial = Trial(0, {"model.width": 2})
    started = ledger.start(trial)
    assert ledger.trials() == {0: started}
    assert started == Trial(0, {"model.width": 2}, state="running", attempts=1)
    twice = ledger.start(started)
    assert twice.attempts == 2
    assert ledger.finish(twice, [0.5, 0.25]) == Trial(0, trial.point, "finished", 2, [0.5, 0.25])
    assert ledger.trials()[0].values == [0.5, 0.25]
    failed = ledger.fail(ledger.start(Trial(1, {})), "out of memory")
    assert ledger.trials()[1] == failed == Trial(1, {}, "failed", 1, [], "out of memory")


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
            ledger.finish(trial, [1.0])
        with pytest.raises(KeyboardInterrupt):
            ledger.start(Trial(1, {"k": 2}))
        with pytest.raises(KeyboardInterrupt):
            ledger.update(mlflow_run_id="abc")
    assert Ledger(ledger.folder).trials() == {0: trial}
    assert ledger.about() == {"identity": IDENTITY}
    assert ledger.finish(trial, [1.0]) == ledger.trials()[0]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@given(
    point=st.dictionaries(st.text(min_size=1), SCALARS | st.lists(SCALARS)),
    values=st.lists(st.floats(allow_nan=False), min_size=1),
)
def test_points_and_values_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, point: dict[str, Any], values: list[float]
) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    ledger.open({})
    trial = ledger.finish(ledger.start(Trial(3, point)), values)
    assert ledger.trials() == {3: trial}
    kinds = {key: type(value) for key, value in ledger.trials()[3].point.items()}
    assert kinds == {key: type(value) for key, value in point.items()}


def test_files_are_as_the_module_says(ledger: Ledger) -> None:
    ledger.finish(ledger.start(Trial(7, {"optimizer.lr": 1e-05})), [0.5])
    files = {path.relative_to(ledger.folder).as_posix() for path in ledger.folder.rglob("*.json")}
    assert files == {"search.json", "trials/00007.json"}
    assert json.loads((ledger.folder / "trials" / "00007.json").read_text()) == {
        "index": 7,
        "point": {"optimizer.lr": 1e-05},
        "state": "finished",
        "attempts": 1,
        "values": [0.5],
        "reason": "",
    }
