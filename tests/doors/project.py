"""A project of its own, in which a test runs commands as a user types them."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import time
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.warm import Warm

ROOT = Path(__file__).parents[2]

# LeNet-5 on digits, small enough for tests: a few seconds on one core.
TINY = [
    "experiment=digits_lenet5",
    "trainer.batch_size=256",
    "augmentation=none",
    "tracking.log_model=false",
    "trainer.threads=1",
]


@cache
def warm() -> Warm:
    """Return the process of this test session that has imported the heavy libraries."""
    folder = Path(mkdtemp(prefix="warm"))
    made = Warm(folder)
    atexit.register(shutil.rmtree, folder)
    atexit.register(made.stop)
    return made


class Project:
    """A folder in which commands run as a user types them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        search = os.pathsep.join([str(root if (root / "pipeline").exists() else ROOT)])
        self.environment = {**os.environ, "PYTHONPATH": search, "GIT_CONFIG_GLOBAL": os.devnull}
        for name in ("MLFLOW_TRACKING_URI", "CONVOY_PARENT_RUN_ID"):
            self.environment.pop(name, None)

    def run(self, *command: str, fails: bool = False) -> str:
        """Run a command to its end; return what it printed, both streams."""
        environment = self.environment
        if warm().serves(environment):
            environment = {**environment, "PATH": f"{warm().programs}{os.pathsep}{environment['PATH']}"}
        done = subprocess.run(
            command,
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout

    def python(self, module: str, *arguments: str, fails: bool = False) -> str:
        """Run `python -m <module>`."""
        return self.run("python", "-m", module, *arguments, fails=fails)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in a process group of its own, its output in `out.txt`."""
        with (self.root / "out.txt").open("w") as out:
            return subprocess.Popen(
                command,
                cwd=self.root,
                env=self.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                preexec_fn=obey,  # noqa: PLW1509
            )

    def wait_for(self, text: str, process: subprocess.Popen[str]) -> None:
        """Wait until a started command has printed a text."""
        deadline = time.monotonic() + 240
        while text not in (printed := (self.root / "out.txt").read_text()):
            assert process.poll() is None, f"ended before '{text}':\n{printed}"
            assert time.monotonic() < deadline, f"no '{text}':\n{printed}"
            time.sleep(0.02)


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a command with all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def empty_project(root: Path) -> Project:
    """Return a project in an empty folder that sees the data of this checkout."""
    _needs_data()
    (root / "data").symlink_to(ROOT / "data")
    return Project(root)


def clone_checkout(target: Path) -> Project:
    """Make a git checkout of the working tree, data included."""
    _needs_data()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    made = Project(target)
    made.run("git", "init", "--quiet")
    made.run("git", "add", "--all")
    made.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "clone")
    return made


def _needs_data() -> None:
    if not (ROOT / "data" / "digits.zip").exists():
        pytest.skip("data/digits.zip is absent: run make data")


def obey() -> None:
    """Let this process end by signals that a shell's background job (Ctrl-C) or `nohup` (a hang-up) ignores."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
