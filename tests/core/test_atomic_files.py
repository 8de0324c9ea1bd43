"""A file is there whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from avis_data.errors import DataError
from avis_data.io import (
    atomic_dir,
    atomic_path,
    canonical_json,
    csv_text,
    read_json,
    sha256_tree,
    write_json,
    write_lines,
)

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from avis_data.io import write_lines
def lines():
    yield "first"
    os.kill(os.getpid(), signal.SIGKILL)
write_lines(Path(sys.argv[1]), lines())
"""


def test_a_kill_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_lines(target, ["old"])
    ran = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(target)], check=False)
    assert ran.returncode == -signal.SIGKILL
    assert target.read_text() == "old\n"


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", {"bad": float("nan")})
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "b.txt") as part:
        part.write_text("half")
        raise RuntimeError
    with pytest.raises(RuntimeError), atomic_dir(tmp_path / "folder") as part:
        (part / "x").write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert read_json(tmp_path / "a.json") == {"old": 1}


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with atomic_dir(tmp_path / "folder") as part:
            (part / name).write_text(name)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["two"]


def test_files_have_the_rights_that_the_user_gives_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "a.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640


def test_the_hash_of_a_folder_is_that_of_its_sha256sum_lines(tmp_path: Path) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    (tmp_path / "d" / "b").write_bytes(b"B")
    (tmp_path / "d" / "sub" / "a").write_bytes(b"A")
    lines = f"{hashlib.sha256(b'B').hexdigest()}  b\n{hashlib.sha256(b'A').hexdigest()}  sub/a\n"
    assert sha256_tree(tmp_path / "d") == hashlib.sha256(lines.encode()).hexdigest()


def test_equal_values_have_one_spelling() -> None:
    assert canonical_json({"b": [1, 2.5, None], "a": "ü"}) == '{"a":"ü","b":[1,2.5,null]}'
    assert canonical_json(json.loads('{"b": 1, "a": {"d": 1, "c": 2}}')) == '{"a":{"c":2,"d":1},"b":1}'


@pytest.mark.parametrize(("content", "words"), [(b"{", "line 1, column 2"), (b"\xff\xfe", "cannot be read as JSON")])
def test_unreadable_json_is_said_with_its_place(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize("start", "=+-@\t\r")
def test_no_cell_of_a_table_starts_a_formula(start: str) -> None:
    rows = [(f"{start}SUM(A1)", f"{start}1+2", "plain", 1.5, -2), ("-1.5", "-0jeONf82dE", "+3e5", -0.25, "")]
    found = list(csv.reader(io.StringIO(csv_text(rows))))
    kept = start.replace("\r", " ")
    assert found[0] == [f"'{kept}SUM(A1)", f"'{kept}1+2", "plain", "1.5", "-2"]
    assert found[1] == ["-1.5", "-0jeONf82dE", "+3e5", "-0.25", ""], "numbers and ids stay what they are"
