"""A run with more epochs goes on from one with fewer, with the results of a run that was trained from scratch."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from mlflow import MlflowClient

from pipeline.declaration.composition import compose_sections
from pipeline.declaration.declaration import Declaration
from pipeline.declaration.keys import identity
from pipeline.runs.context import RunContext
from pipeline.runs.folder import RESULTS, RunFolder
from pipeline.runs.observer import TrainingObserver
from pipeline.tracking.store import Store
from pipeline.training.run import RunRequest, train
from tests.makers import data_section, declaration, write_class_folders

CONSTANT = {"_target_": "torch.optim.lr_scheduler.ConstantLR", "factor": 1.0}
STEPS = {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 1, "gamma": 0.5}
PLATEAU = {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau", "patience": 0}
Schedule = dict[str, Any]
STOPPING = "{patience: %d, min_delta: 0.0}"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "data.zip"
    write_class_folders(path, num_images=6)
    return path


def declared(archive: Path, epochs: int, *overrides: str, schedule: Schedule | None = None) -> Declaration:
    """Return a classification with dropout, augmentation and momentum, which trains in a second."""
    sections = compose_sections(
        [
            *("model=linear", "model.head=[{dropout: 0.5},{linear: outputs}]", "augmentation=jitter"),
            *(
                "trainer.threads=1",
                "trainer.progress=false",
                "trainer.batch_size=4",
                "tracking.log_model=false",
            ),
            *(f"trainer.max_epochs={epochs}", *overrides),
        ]
    )
    if schedule is not None:
        sections["scheduler"] = schedule
    names = ("model", "augmentation", "trainer", "tracking", "optimizer", "scheduler")
    return declaration(data_section(archive), **{name: sections[name] for name in names})


@cache
def made_database() -> bytes:
    """Return a database of MLflow without runs, as it takes seconds to make one."""
    with TemporaryDirectory() as folder:
        Store(Path(folder), "unused")
        return (Path(folder) / "mlflow.db").read_bytes()


def run(declared: Declaration, root: Path, *, log_artifacts: bool = True) -> RunFolder:
    root.mkdir(exist_ok=True)
    if not (root / "mlflow.db").exists():
        (root / "mlflow.db").write_bytes(made_database())
    request = RunRequest("test", "test", waits=False, observer=TrainingObserver(log_artifacts=log_artifacts))
    return train(declared, request, RunContext(root))


def contents(folder: RunFolder) -> dict[str, bytes]:
    """Return all results of a run by name."""
    paths = [path for name in RESULTS for path in [folder.path / name, *(folder.path / name).rglob("*")]]
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in paths if path.is_file()}


def seconds(folder: RunFolder) -> list[str]:
    """Return the rows of epochs with the seconds that each took, which no two trainings have in common."""
    return (folder.path / "timing.csv").read_text().splitlines()[1:]


EXACT: list[tuple[Schedule, list[str], int]] = [
    # schedule, overrides, epochs that are trained of the longest run
    (CONSTANT, [f"trainer.early_stopping={STOPPING % 4}"], 5),
    (STEPS, ["trainer.keep=last"], 5),
    (PLATEAU, [], 5),
    (CONSTANT, ["trainer.average={ema: 0.9}"], 5),
    (CONSTANT, ["optimizer.lr=1e-9", f"trainer.early_stopping={STOPPING % 1}"], 2),
]


@pytest.mark.parametrize(
    ("schedule", "overrides", "epochs"), EXACT, ids=["constant", "steps", "plateau", "average", "stopped"]
)
def test_longer_run_goes_on_from_the_longest_shorter_one_with_equal_results(
    schedule: Schedule,
    overrides: list[str],
    epochs: int,
    archive: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = run(declared(archive, 2, *overrides, schedule=schedule), tmp_path / "grown")
    second = run(declared(archive, 3, *overrides, schedule=schedule), tmp_path / "grown")
    capsys.readouterr()
    grown = run(declared(archive, 5, *overrides, schedule=schedule), tmp_path / "grown")
    told = capsys.readouterr().err
    whole = run(declared(archive, 5, *overrides, schedule=schedule), tmp_path / "whole")
    assert contents(grown) == contents(whole)
    assert len(grown.history()) == epochs
    trained = min(3, epochs)
    assert f"runs/{grown.path.name} goes on from the {trained} epochs of runs/{second.path.name}\n" in told
    assert seconds(grown)[:trained] == seconds(second), "they were not trained again"
    assert seconds(second)[:2] == seconds(first)
    assert grown.state()["continues"] == second.path.name
    assert "continues" not in whole.state()
    client = MlflowClient(f"sqlite:///{tmp_path}/grown/mlflow.db")
    history = client.get_metric_history(grown.state()["mlflow_run_id"], "val/loss")
    assert [each.step for each in history] == list(range(epochs))


def test_run_that_averages_its_last_epochs_starts_from_scratch(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shorter, longer = (
        run(declared(archive, epochs, "trainer.average={swa: 2}", schedule=CONSTANT), tmp_path)
        for epochs in (2, 3)
    )
    assert (
        f"runs/{shorter.path.name} has the same declaration with fewer epochs, but trainer.average averages its last "
        f"epochs; training runs/{longer.path.name} from scratch\n"
    ) in capsys.readouterr().err
    assert "continues" not in longer.state()


def test_trial_of_a_search_starts_from_scratch(archive: Path, tmp_path: Path) -> None:
    run(declared(archive, 1, schedule=CONSTANT), tmp_path)
    longer = run(declared(archive, 2, schedule=CONSTANT), tmp_path, log_artifacts=False)
    assert "continues" not in longer.state()


def test_other_code_or_library_is_no_start_and_is_named(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = run(declared(archive, 1, schedule=CONSTANT), tmp_path)

    def changed(*arguments: Any, **more: Any) -> dict[str, Any]:
        found = identity(*arguments, **more)
        return {**found, "code": "another", "versions": {**found["versions"], "torch": "0.1"}}

    monkeypatch.setattr("pipeline.training.run.identity", changed)
    longer = run(declared(archive, 2, schedule=CONSTANT), tmp_path)
    torch = shorter.state()["identity"]["versions"]["torch"]
    assert (
        f"runs/{shorter.path.name} has the same declaration with fewer epochs, but was trained with other code, "
        f"torch {torch} instead of 0.1; training runs/{longer.path.name} from scratch\n"
    ) in capsys.readouterr().err
    assert "continues" not in longer.state()


def test_schedule_that_depends_on_the_number_of_epochs_starts_from_scratch_and_says_why(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shorter = run(declared(archive, 1), tmp_path)
    longer = run(declared(archive, 2), tmp_path)
    assert (
        f"runs/{shorter.path.name} has the same declaration with fewer epochs, but was trained with "
        f"scheduler.T_max 1 instead of 2; training runs/{longer.path.name} from scratch\n"
    ) in capsys.readouterr().err
    assert "continues" not in longer.state()
    assert seconds(longer)[0] != seconds(shorter)[0]


@pytest.mark.parametrize(
    "change", [["optimizer.lr=0.5"], ["trainer.batch_size=5"], ["trainer.keep=last"]], ids=str
)
def test_run_that_differs_otherwise_is_no_start(
    change: list[str], archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(declared(archive, 1, *change, schedule=CONSTANT), tmp_path)
    longer = run(declared(archive, 2, schedule=CONSTANT), tmp_path)
    assert "continues" not in longer.state()
    assert "runs/" not in capsys.readouterr().err


def test_fewer_epochs_are_no_start_for_more_of_another_run(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(declared(archive, 2, schedule=CONSTANT), tmp_path)
    shorter = run(declared(archive, 1, schedule=CONSTANT), tmp_path)
    assert "continues" not in shorter.state()
    assert "runs/" not in capsys.readouterr().err


UNUSABLE: list[tuple[str, Any, str]] = [
    ("best.ckpt", b"damaged", "best.ckpt is damaged (File is not a zip file)"),
    ("last.ckpt", None, "last.ckpt is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "problem"), UNUSABLE, ids=["damaged", "missing"])
def test_run_whose_checkpoints_are_unusable_is_no_start_and_stays_as_it_is(
    name: str, content: Any, problem: str, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shorter = run(declared(archive, 1, schedule=CONSTANT), tmp_path)
    path = shorter.path / name
    path.unlink() if content is None else path.write_bytes(content)
    longer = run(declared(archive, 2, schedule=CONSTANT), tmp_path)
    told = capsys.readouterr().err
    assert f"{shorter.path}/{problem}, so runs/{longer.path.name} starts from scratch\n" in told
    assert len(longer.history()) == 2
    assert "continues" not in longer.state()
    assert path.exists() == (content is not None)


def test_processes_that_a_launcher_starts_together_start_from_scratch(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shorter = run(declared(archive, 1, schedule=CONSTANT), tmp_path)
    monkeypatch.setattr("pipeline.training.earlier_runs.has_launcher", lambda: True)
    longer = run(declared(archive, 2, schedule=CONSTANT), tmp_path)
    assert (
        f"runs/{shorter.path.name} cannot be continued by processes that start together, so runs/{longer.path.name} "
        "starts from scratch\n"
    ) in capsys.readouterr().err
