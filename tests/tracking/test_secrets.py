"""Passwords in URIs: MLflow gets them, and nothing that is written or said contains them."""

import base64
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, redact
from pipeline.tracking.provenance import git_state
from pipeline.tracking.run import TrackedRun
from pipeline.tracking.store import Store
from pipeline.trials.search import Outcome
from tests.refusals import refused

SECRET = "s3cr3t"
TEXTS = [
    # text                                               without its secrets
    (f"http://me:{SECRET}@host:5000/a", "http://***@host:5000/a"),
    (f"https://{SECRET}@github.com/a.git", "https://***@github.com/a.git"),
    (f"ssh://me:{SECRET}@host:/srv/dvc and more", "ssh://***@host:/srv/dvc and more"),
    (f"postgresql+psycopg2://me:{SECRET}@db/x", "postgresql+psycopg2://***@db/x"),
    (f"http://me:{SECRET}@x@host/a", "http://***@host/a"),
    (f"https://host/a?sig={SECRET}&b=1", "https://host/a?sig=***&b=1"),
    (f"https://host/a?b=1&X-Amz-Security-Token={SECRET}", "https://host/a?b=1&X-Amz-Security-Token=***"),
    (f"twice http://a:{SECRET}@b, 'http://c:{SECRET}@d'", "twice http://***@b, 'http://***@d'"),
    ("http://host/Users/me@lab.org", "http://host/Users/me@lab.org"),
    ("me@lab.org", "me@lab.org"),
    ("model@model.encoder=resnet18 a://b", "model@model.encoder=resnet18 a://b"),
]


@pytest.mark.parametrize(("text", "shown"), TEXTS)
def test_text_is_shown_without_its_secrets(text: str, shown: str) -> None:
    assert redact(text) == shown
    error = ConfigError(text, text, got=text, hint=text)
    assert (SECRET in str(error), str(error).count(shown)) == (False, 4)
    assert Outcome.of_failure(OSError(text)).reason == f"OSError: {shown}"


class _Server(BaseHTTPRequestHandler):
    """Answers that there is an experiment, and keeps who asked."""

    seen: list[str | None] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.seen.append(self.headers["Authorization"])
        experiment = {"experiment_id": "1", "name": "digits", "lifecycle_stage": "active"}
        answer = json.dumps({"experiment": experiment}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Environment variables that are as before after the test."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return monkeypatch


def test_server_gets_the_password_and_the_uri_does_not_keep_it(
    port: int, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}%40@127.0.0.1:{port}")
    _Server.seen.clear()
    store = Store(tmp_path, "digits")
    assert store.uri == os.environ["MLFLOW_TRACKING_URI"] == f"http://127.0.0.1:{port}"
    expected = base64.b64encode(f"me:{SECRET}@".encode()).decode()
    assert _Server.seen == [f"Basic {expected}"]


def test_refusal_of_a_server_does_not_show_the_password(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("MLFLOW_TRACKING_URI", f"http://me:{SECRET}@127.0.0.1:1")
    with refused("MLFLOW_TRACKING_URI", got="http://127.0.0.1:1") as caught:
        Store(tmp_path, "digits")
    assert SECRET not in str(caught.value)


def test_nothing_that_is_written_of_a_run_has_the_password(root: Path, store: Store) -> None:
    uri = f"http://me:{SECRET}@host"
    run = TrackedRun.start(store, name=f"a {uri}", parent=None, tags={"convoy.sweep": f"x={uri}"})
    run.log_tags({"more": uri})
    run.end("FAILED", reason=f"cannot reach {uri}")
    tags = store.client.get_run(run.run_id).data.tags
    assert tags["convoy.reason"] == "cannot reach http://***@host"
    written = [path for path in root.rglob("*") if path.is_file()]
    assert len(written) > 1
    assert [path for path in written if SECRET.encode() in path.read_bytes()] == []


def test_patch_has_neither_remotes_nor_passwords(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    files = [tmp_path / ".dvc" / "config", tmp_path / "code.py"]
    for file in files:
        file.write_text("old\n")
    for command in (["init"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=b", "commit", "-m", "c"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    files[0].write_text(f'[remote "r"]\n    url = s3://a\n    password = {SECRET}\n')
    assert git_state(tmp_path)["dirty"] == "false"
    files[1].write_text(f"URI = 'http://me:{SECRET}@host'\n")
    state = git_state(tmp_path)
    assert "+URI = 'http://***@host'" in state["patch"]
    assert SECRET not in json.dumps(state)
