"""The folder of a run: state that survives, results that are read back."""

import json
import sys
from pathlib import Path

import pytest

from pipeline.files import write_text
from pipeline.runs.arguments import stage_paths
from pipeline.runs.cache import publish
from pipeline.runs.folder import RESULTS, RunFolder
from pipeline.storage.sealed import CHANGED
from tests.refusals import refused


def test_run_that_never_started_has_no_state_and_no_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "abc")
    assert folder.state() == {}
    assert not folder.is_finished()
    assert not folder.path.exists()


def test_state_survives_and_is_added_to(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "abc")
    folder.update(state="running", versions={"torch": "2"})
    folder.update(mlflow_run_id="ü1")
    again = RunFolder(tmp_path / "runs" / "abc")
    assert again.state() == {"state": "running", "versions": {"torch": "2"}, "mlflow_run_id": "ü1"}
    assert not again.is_finished()
    again.update(state="finished")
    assert folder.is_finished()


def test_run_has_artifacts_only_where_it_was_finished_with_them(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "runs" / "abc")
    assert not folder.has_artifacts()
    for value in (False, True):
        folder.update(state="finished", has_artifacts=value)
        assert folder.has_artifacts() is value


def test_results_are_read_back_as_numbers(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    write_text(tmp_path / "history.csv", "epoch,train/loss,val/dice\n0.0,1.5,nan\n1.0,1e-3,0.5\n")
    write_text(tmp_path / "timing.csv", "epoch,seconds\n0.0,1.5\n1.0,2.25\n")
    write_text(tmp_path / "metrics.json", '{"score": 0.5}')
    write_text(tmp_path / "result.json", '{"fingerprint": "abc"}')
    folder.seal()
    first, second = folder.history()
    assert first["train/loss"] == 1.5
    assert first["val/dice"] != first["val/dice"]
    assert second == {"epoch": 1.0, "train/loss": 0.001, "val/dice": 0.5}
    assert folder.seconds() == 3.75
    assert folder.metrics() == {"score": 0.5}
    assert folder.result() == {"fingerprint": "abc"}


def test_only_the_timing_tells_two_equal_runs_apart(tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path / name) for name in ("first", "second")]
    for folder, seconds in zip(folders, ([1.0, 2.0], [3.0, 0.1]), strict=True):
        folder.path.mkdir()
        rows = [{"epoch": float(n), "train/loss": 1 / (n + 3), "seconds": s} for n, s in enumerate(seconds)]
        folder.write_history(rows)
        folder.seal()
    first, second = ((folder.path / "history.csv").read_bytes() for folder in folders)
    assert first == second
    assert [folder.seconds() for folder in folders] == pytest.approx([3.0, 3.1])
    assert folders[0].history() == [{"epoch": 0.0, "train/loss": 1 / 3}, {"epoch": 1.0, "train/loss": 1 / 4}]


def test_published_results_are_those_in_which_equal_runs_agree(tmp_path: Path) -> None:
    """A stage publishes no state, times or checkpoints; what it publishes counts as a finished run's results."""
    assert not {"run.json", "timing.csv", "last.ckpt", "best.ckpt", "lock"} & set(RESULTS)
    folder = RunFolder(tmp_path / "run")
    folder.update(state="running")
    assert not folder.has_results()
    write_text(folder.path / "result.json", '{"fingerprint": "abc"}')
    publish(folder.path, tmp_path / "published", names=["result.json"], root=tmp_path)
    published = RunFolder(tmp_path / "published")
    assert published.has_results()
    assert published.result() == {"fingerprint": "abc"}
    assert not published.is_finished(), "it has no state"


def test_places_are_inside_the_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    places = [folder.lock, folder.declaration, folder.last, folder.best]
    assert len(set(places)) == 4
    assert {place.parent for place in places} == {tmp_path}


def test_missing_json_is_empty(tmp_path: Path) -> None:
    assert RunFolder(tmp_path / "none").state() == {}


def test_stage_takes_its_paths_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["report", "artifacts", "artifacts/report"])
    assert stage_paths("report", "<in>", "<out>") == [Path("artifacts"), Path("artifacts/report")]


@pytest.mark.parametrize("given", [[], ["a"], ["a", "b", "c"]])
def test_wrong_number_of_paths_is_refused_with_the_usage(
    given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["report", *given])
    usage = "usage: python -m pipeline.report <in> <out>"
    text = f"python -m pipeline.report: expected 2 paths, got {len(given)}; {usage}"
    with refused("python -m pipeline.report", got=len(given), hint=usage, text=text):
        stage_paths("report", "<in>", "<out>")


def finished(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.update(state="running", fingerprint=path.name)
    folder.write_history([{"epoch": 0.0, "seconds": 1.0}])
    write_text(path / "result.json", json.dumps({"fingerprint": path.name}))
    write_text(path / "metrics.json", '{"score": 0.5}')
    folder.seal()
    folder.update(state="finished")
    folder.check()
    return folder


@pytest.mark.parametrize("name", ["history.csv", "timing.csv", "metrics.json", "result.json", "digests.json"])
def test_damaged_result_is_noticed_with_the_way_back(name: str, tmp_path: Path) -> None:
    folder = finished(tmp_path / "abc")
    (folder.path / name).write_bytes((folder.path / name).read_bytes()[:-2])
    with refused(str(folder.path / name), hint="train the run again"):
        folder.check()
    publish(
        finished(tmp_path / "abd").path,
        tmp_path / "published",
        root=tmp_path,
        names=["result.json", "metrics.json"],
    )
    (tmp_path / "published" / "metrics.json").write_text("")
    with refused(str(tmp_path / "published" / "metrics.json"), hint="`dvc repro`"):
        RunFolder(tmp_path / "published").check()


def test_results_of_another_run_are_noticed(tmp_path: Path) -> None:
    one, other = finished(tmp_path / "abc"), finished(tmp_path / "abd")
    for name in ("result.json", "digests.json"):
        (one.path / name).write_bytes((other.path / name).read_bytes())
    with refused(str(one.path / "result.json")) as caught:
        one.check()
    assert caught.value.problem == "is the result of another run"
    (one.path / "run.json").write_bytes((other.path / "run.json").read_bytes())
    with refused(str(one.path / "run.json")):
        one.state()


def test_damaged_state_is_removed_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = finished(tmp_path / "abc")
    folder.discard_damaged_state()
    assert folder.is_finished()
    (folder.path / "run.json").write_text('{"state": "fin')
    with refused(str(folder.path / "run.json")):
        folder.is_finished()
    folder.discard_damaged_state()
    assert folder.state() == {}
    assert capsys.readouterr().err == f"warning: {folder.path / 'run.json'} {CHANGED}; it is written again\n"
