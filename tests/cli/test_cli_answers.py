"""What the command line answers when things are not as they should be: words, exit codes, one JSON object."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from avis_data.ledger import Ledger
from support.forked import forked
from support.shell import avis_data


def test_json_has_an_object_for_errors_too(tmp_path: Path) -> None:
    ran = avis_data("-C", tmp_path, "extract", "--json")
    assert ran.code == 2 and ran.json["exit_code"] == 2
    assert "no workspace" in ran.json["error"] and "avis-data init" in ran.json["hint"]


def test_a_mistyped_folder_is_not_made(tmp_path: Path) -> None:
    for command in (["status"], ["extract"], ["validate", "x"]):
        ran = avis_data("-C", tmp_path / "typo", *command)
        assert ran.code == 2 and "no such folder" in ran.err
    assert not (tmp_path / "typo").exists()


def test_what_the_system_refuses_is_said_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert avis_data("-C", tmp_path / "file", "init").code == 5
    (tmp_path / "recipe.yaml").mkdir()
    assert avis_data("-C", tmp_path, "status").code == 5


def give_up_the_right_to_write_everywhere() -> None:
    """Of the superuser: what is started next is held to the rights of files like everybody."""
    drop_from_bounding_set, override, read_search = 24, 1, 2  # linux/prctl.h, linux/capability.h
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for capability in (override, read_search):
        if os.geteuid() == 0 and prctl(drop_from_bounding_set, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


@pytest.mark.skipif(sys.platform != "linux", reason="the superuser of other systems cannot give up rights")
def test_a_folder_without_rights_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    command = [sys.executable, "-m", "avis_data", "-C", str(tmp_path), "init"]
    ran = subprocess.run(
        command, preexec_fn=give_up_the_right_to_write_everywhere, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 5 and "Traceback" not in ran.stderr, ran.stderr
    assert "Permission denied" in ran.stderr and not list(tmp_path.iterdir())


def test_status_reads_a_ledger_that_it_may_not_write(tmp_path: Path) -> None:
    assert avis_data("-C", tmp_path, "init").code == 0
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        ledger.replace_wanted(["v"], [("c", "{}")])
    (tmp_path / "ledger.sqlite").chmod(0o444)
    before = sorted(path.name for path in tmp_path.iterdir())
    ran = avis_data("-C", tmp_path, "status", "--json")
    assert ran.code == 0 and ran.json["stages"][0]["wanted"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_stages_without_a_list_say_so(tmp_path: Path) -> None:
    assert avis_data("-C", tmp_path, "init").code == 0
    ran = avis_data("-C", tmp_path, "extract")
    assert ran.code == 2 and "no list of videos" in ran.err


SIGNALLED = """
import os, signal, sys
from concurrent.futures.process import BrokenProcessPool
from avis_data.cli import commands, interruption, main
from avis_data.errors import DataError, ToolError
interruption._is_in_the_middle = lambda frame: True  # as while a process is being started: the signal has to wait
def work(*, args, **_):
    if args[0] != "alone":
        os.kill(os.getpid(), signal.SIGTERM)
    if args[0] == "taken":
        interruption.taken()
    raise eval(args[1])
commands.cli.main = work
main.entry()
"""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("BrokenProcessPool('All workers expired')", 1),
        ("ToolError('a worker process died')", 5),
        ("DataError('the file ends early')", 3),
        ("OSError(5, 'Input/output error')", 5),
        ("BrokenPipeError('the reader went away')", 0),
    ],
)
def test_what_a_signal_to_the_whole_group_breaks_first_is_no_error_of_its_own(error: str, code: int) -> None:
    """The workers may be gone before the command has come to its own interruption, which waits for a thread."""
    told = {
        case: forked(SIGNALLED, [case, error], cwd=None, environment=os.environ)
        for case in ("signal", "alone", "taken")
    }
    assert told["signal"].returncode == 130 and told["signal"].stderr.count("\n") == 1, told["signal"]
    assert "interrupted" in told["signal"].stderr
    for case in ("alone", "taken"):
        assert told[case].returncode == code and (code == 0 or error.split("'")[1] in told[case].stderr), told[case]


def test_a_polite_end_by_the_system_is_an_interruption() -> None:
    works = "lambda: (print('at work', flush=True), time.sleep(60))"
    script = f"import time\nimport avis_data.cli.main as m\nm.main = {works}\nm.entry()\n"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"at work\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130 and b"interrupted" in err and b"Traceback" not in err


def test_unknown_retry_reasons_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    assert avis_data("-C", tmp_path, "init").code == 0
    ran = avis_data("-C", tmp_path, "extract", "--retry-failed=nonsense")
    assert ran.code == 2 and "no_audio" in ran.err


def test_a_ray_cluster_that_does_not_answer_is_said_at_once() -> None:
    pytest.importorskip("ray", reason="needs the extra `scale`")
    from avis_data.errors import ToolError
    from avis_data.pipelines.engine.executors.ray import RayExecutors
    from support.toy_stages import ShoutStage

    with pytest.raises(ToolError, match=r"no Ray cluster answers at 127\.0\.0\.1:9"):
        RayExecutors(workers=1, address="127.0.0.1:9")(ShoutStage(), 1)


def test_a_list_is_found_from_where_one_is_and_from_the_folder_of_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from avis_data.cli.main import main

    (tmp_path / "videos.csv").write_text("url\nhttps://127.0.0.1:9/a.mp4\n")
    (tmp_path / "ws").mkdir()

    def fetch() -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        code = main(["-C", "ws", "fetch", "--list", "videos.csv", "--dry-run"])
        return code, capsys.readouterr().err

    code, said = fetch()
    assert code == 0 and "where the command was typed" in said
    (tmp_path / "ws" / "videos.csv").write_text("url\nhttps://127.0.0.1:9/b.mp4\n")
    code, said = fetch()
    assert code == 0 and "taken as seen from -C" in said and "there is" in said
    (tmp_path / "videos.csv").unlink()
    assert fetch() == (0, "")


def test_a_category_that_is_typed_wrongly_is_told_with_its_place(tmp_path: Path) -> None:
    text = 'url,categories\nhttps://example.com/a.mp4,"person,piano"\nhttps://example.com/b.mp4,person;vilion\n'
    (tmp_path / "videos.csv").write_text(text)
    ran = avis_data("-C", tmp_path / "ws", "fetch", "--list", tmp_path / "videos.csv", "--dry-run")
    assert ran.code == 0
    assert "line 2: categories: 'person,piano'; several? they are parted by ; or |" in ran.err
    assert "line 3: categories: 'vilion'; did you mean 'violin'?" in ran.err and "2 categories" in ran.err
