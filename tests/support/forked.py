"""Run commands in processes of their own that need not import everything anew: a server imports once, then forks.

What a command finds is what it finds when a person starts it: its arguments, folder, environment and streams. Its
workers are told what to do as spawned ones are, but are forked too, from a process that has nothing but the imports.
Tests of how the program itself starts and is stopped start it anew (`support.shell.start`).
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

__all__ = ["forked"]

_SERVER = '''
import atexit, contextlib, gc, json, multiprocessing, os, signal, socket, sys, threading, traceback
from multiprocessing import connection, forkserver
import avis_data.cli.main, avis_data.cli.commands, avis_data.cli.interruption
import avis_data.pipelines.engine.executors.local, avis_data.pipelines.manifests, avis_data.pipelines.steps
import avis_data.pipelines.exports.convert, avis_data.pipelines.imports.truth, avis_data.pipelines.merge.build
import avis_data.pipelines.exports.publish, avis_data.quality.dataset, avis_data.report.dataset
with contextlib.suppress(ImportError):
    import pandas  # PyArrow asks whether it is there; to find out takes a command half its time
import avis_data.platforms


def fork_workers():
    """From now on workers are forked from a copy of this process as it is now; all else is as with spawned ones."""
    command, plain = os.getpid(), multiprocessing.get_context
    address = connection.arbitrary_address("AF_UNIX")
    alive_r, alive_w = os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        copy = os.fork()
        if not copy:
            os.close(alive_w)
            avis_data.platforms.become_worker(command)
            me, parent = os.getpid(), os.getppid
            os.getppid = lambda: command if parent() == me else parent()  # workers end with it, as this copy does
            with contextlib.suppress(SystemExit):
                forkserver.main(listener.fileno(), alive_r, [])
            os._exit(0)
    os.close(alive_r)
    known = forkserver._forkserver
    known._forkserver_address, known._forkserver_alive_fd, known._forkserver_pid = address, alive_w, copy
    multiprocessing.get_context = lambda method=None: plain("forkserver" if method == "spawn" else method)
    return copy


gc.collect()
gc.freeze()
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        for number, path in enumerate((os.devnull, asked["out"], asked["err"])):
            opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_TRUNC)
            os.dup2(opened, number)
            os.close(opened)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.argv = ["avis-data", *asked["arguments"]]
        copy, code = fork_workers(), 0
        try:
            exec(asked["script"], {"__name__": "__main__"})
        except SystemExit as ended:
            code = ended.code or 0
            if not isinstance(code, int):
                print(code, file=sys.stderr)
                code = 1
        except BaseException:
            traceback.print_exc()
            code = 1
        threading._shutdown()
        atexit._run_exitfuncs()
        os.kill(copy, signal.SIGKILL)
        os.waitpid(copy, 0)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # what Python would do now is to take apart, one by one, what the server has imported
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
'''


def forked(
    script: str, arguments: Sequence[object], *, cwd: Path | None, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a script that has the program imported, with `sys.argv` of these arguments, to its end."""
    server, command = _server(), [str(argument) for argument in arguments]
    assert server.stdin is not None and server.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        for path in (out, err):
            path.touch()
        asked = {"script": script, "arguments": command, "cwd": str(cwd or Path.cwd()), "environment": {**environment}}
        server.stdin.write(json.dumps(asked | {"out": str(out), "err": str(err)}) + "\n")
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())


@cache
def _server() -> subprocess.Popen[str]:
    """The server of this process. It is killed at the end: children that a test forked hold its input open."""
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    atexit.register(server.kill)
    return server
