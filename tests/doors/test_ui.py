"""The MLflow UI as a person sees it, in a headless Chromium; skipped where there is none."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.doors.project import TINY, Project

pytestmark = pytest.mark.slow

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=30000",
    "--window-size=1500,1000",
]


@pytest.fixture
def address(project: Project) -> Iterator[str]:
    """Serve the UI of a project on a free port of the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = project.start(
        sys.executable,
        "-m",
        "mlflow",
        "ui",
        "--backend-store-uri",
        "sqlite:///mlflow.db",
        "--port",
        str(port),
    )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def shown(url: str, profile: Path) -> str:
    """Return the page as the browser has built it."""
    assert BROWSER is not None
    return subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    ).stdout


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: apt-get install chromium")
def test_ui_shows_the_parent_with_its_four_children_and_their_comparison(
    project: Project, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    project.python(
        "pipeline.train",
        "-m",
        *TINY,
        "trainer.max_epochs=1",
        "model.activation=tanh,relu",
        "optimizer.lr=0.01,0.05",
    )
    address = request.getfixturevalue("address")
    client = MlflowClient(f"sqlite:///{project.root}/mlflow.db")
    experiment = client.get_experiment_by_name("digits").experiment_id
    runs = client.search_runs([experiment])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]

    page = shown(f"{address}/#/experiments/{experiment}/runs/{parent.info.run_id}", tmp_path / "one")
    assert "Child runs" in page
    for run in children:
        assert run.info.run_name in page

    chosen = ",".join(f"%22{run.info.run_id}%22" for run in children)
    page = shown(
        f"{address}/#/compare-runs?runs=[{chosen}]&experiments=[%22{experiment}%22]", tmp_path / "two"
    )
    assert "Comparing 4 Runs" in page
    assert "Parallel Coordinates Plot" in page
    assert "model.activation" in page
