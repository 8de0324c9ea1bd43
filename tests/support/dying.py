"""Commands that die at a chosen change of the disk or of the labelling server, as kill -9 would have it.

Nothing is cleaned up behind them.
"""

from __future__ import annotations

import os
import subprocess

from support.forked import forked

__all__ = ["DIED", "changes_of", "die_at"]

DIED = 9

_SCRIPT = """
import os, sys
sys.dont_write_bytecode = True  # to keep what was compiled would be a change
import avis_data.cli.main, avis_data.pipelines.upkeep.remove
from avis_data.ledger.database import Database
last, count = int(sys.argv.pop(1)), 0
def step(*_):
    global count
    count += 1
    if count == last:
        os._exit(9)
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "shutil.rmtree"}
def watch(event, _):
    if event in CHANGES and not sys.is_finalizing():
        step()
plain = Database.write
def write(self, *given):
    step()
    return plain(self, *given)
Database.write = write
from avis_data.annotation.labelstudio.client import LabelStudio
asks = LabelStudio._ask
def ask(client, method, *given, **more):
    if method != "GET":
        step()
    return asks(client, method, *given, **more)
LabelStudio._ask = ask
sys.addaudithook(watch)
code = avis_data.cli.main.main()
print("changes", count, file=sys.stderr)
sys.exit(code)
"""


def changes_of(*arguments: object) -> int:
    """Run a command to its end; gives how often it changes something on the disk or on the server."""
    ran = _run(0, arguments)
    assert ran.returncode in (0, 4), ran.stderr
    return int(ran.stderr.split("changes ")[-1])


def die_at(number: int, *arguments: object) -> bool:
    """Run a command that dies right before its n-th change; False: it had ended before that."""
    ran = _run(number, arguments)
    assert ran.returncode in (0, 4, DIED), ran.stderr
    return ran.returncode == DIED


def _run(number: int, arguments: tuple[object, ...]) -> subprocess.CompletedProcess[str]:
    return forked(_SCRIPT, [number, *arguments], cwd=None, environment=os.environ)
