"""Start Python commands by forking a process that has imported the heavy libraries, instead of importing them anew.

Importing torch, Lightning and MLflow takes longer than most trainings of the tests. `Warm` writes programs `python` and
`dvc` that a test puts in front of PATH: each asks its server, this module run as a script, for a fork that takes over
its arguments, folder, environment and streams, and runs the command as the interpreter would. Nothing of `pipeline`
is imported in advance. Commands that are to be killed use the real interpreter, as do those that set what libraries
read while they are imported.
"""

from __future__ import annotations

import array
import atexit
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path

LIBRARIES = {
    "python": [
        "albumentations",
        "alembic.command",
        "cv2",
        "hydra",
        "jinja2",
        "matplotlib.pyplot",
        "mlflow.pytorch",
        "mlflow.store.tracking.sqlalchemy_store",
        "optuna.visualization",
        "plotly.graph_objects",
        "pytorch_lightning",
        "scipy.stats",
        "sklearn.metrics",
        "sqlalchemy.dialects.sqlite",
        "torchmetrics.classification",
        "torchmetrics.segmentation",
    ],
    "dvc": ["dvc.cli", "dvc.commands.repro", "dvc.fs", "dvc.repo"],
}
READ_AT_IMPORT = (
    "OMP_",
    "MKL_",
    "ATEN_",
    "TORCH_",
    "PYTHONHASHSEED",
    "MPL",
    "LD_",
)  # starts of names of variables
STREAMS = 3

CLIENT = """\
#!{python} -IS
import array, json, os, socket, sys
name, arguments = {name!r}, sys.argv[1:]
if name == "dvc" or arguments[:1] == ["-m"]:
    server = socket.socket(socket.AF_UNIX)
    server.connect({address!r})
    asked = json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode()
    streams = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))
    server.sendmsg([len(asked).to_bytes(4, "big")], [streams])
    server.sendall(asked)
    os._exit(server.recv(1)[0])
os.execv({python!r}, [{python!r}, *arguments])
"""


class Warm:
    """Running servers, and the programs that ask them.

    Args:
        folder: an empty folder for the programs and the sockets of the servers.
    """

    def __init__(self, folder: Path) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        self._environment = dict(os.environ)
        self._servers = [self._start(name, folder / name) for name in LIBRARIES]

    def _start(self, name: str, address: Path) -> subprocess.Popen[bytes]:
        program = self.programs / name
        program.write_text(CLIENT.format(python=sys.executable, name=name, address=str(address)))
        program.chmod(0o755)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(address))
            listening.listen()
            descriptor = listening.fileno()
            command = [sys.executable, __file__, name, str(descriptor)]
            return subprocess.Popen(command, pass_fds=[descriptor], cwd=address.parent)

    def serves(self, environment: dict[str, str]) -> bool:
        """Return whether libraries that were imported here are what they would be in another environment."""
        names = {name for name in {*environment, *self._environment} if name.startswith(READ_AT_IMPORT)}
        return all(environment.get(name) == self._environment.get(name) for name in names)

    def stop(self) -> None:
        """End the servers."""
        for server in self._servers:
            server.terminate()
            server.wait()


def _serve(name: str, listening: socket.socket) -> None:
    """Fork for each connection, for ever."""
    for library in LIBRARIES[name]:
        importlib.import_module(library)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(name, connection)
        connection.close()


def _answer(program: str, connection: socket.socket) -> None:
    """Run one command in a fork of its own, and send its exit status."""
    size, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(STREAMS * array.array("i").itemsize))
    streams = array.array("i", ancillary[0][2])
    arguments, folder, environment = json.loads(_receive(connection, int.from_bytes(size, "big")))
    child = os.fork()
    if child:
        for stream in streams:
            os.close(stream)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(bytes([status if status >= 0 else 128 - status]))
        os._exit(0)
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os._exit(_run(program, arguments))


def _receive(connection: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += connection.recv(size - len(received))
    return received


def _run(name: str, arguments: list[str]) -> int:
    """Run a command as the interpreter would, and return its exit status."""
    try:
        sys.path[0:1] = ["", *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        if name == "dvc":
            sys.argv = [name, *arguments]
            status = importlib.import_module("dvc.cli").main(arguments)
        else:
            sys.argv = arguments[1:]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
            status = 0
    except SystemExit as ending:
        status = _status(ending.code)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return status


def _status(code: object) -> int:
    if code is None or isinstance(code, int):
        return code or 0
    sys.stderr.write(f"{code}\n")
    return 1


if __name__ == "__main__":
    _serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
