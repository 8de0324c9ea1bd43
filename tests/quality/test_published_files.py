"""`avis-data validate` of an export of ours: the files are those that its own list and certificate name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from avis_data.cli.main import main
from avis_data.io import sha256_file, sha256_text
from avis_data.quality import validate
from support.ytvis_world import write_split

Damage = Callable[[Path], object]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two clips, a list as `sha256sum` writes it, and what a certificate says of it."""
    write_split(tmp_path, "train", ["alpha"], seed=1)
    write_split(tmp_path, "test", ["gamma"], seed=2)
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    text = "".join(f"{sha256_file(path)}  {path.relative_to(tmp_path).as_posix()}\n" for path in files)
    (tmp_path / "files.sha256").write_text(text)
    said = {"count": len(files), "size_bytes": sum(path.stat().st_size for path in files), "sha256": sha256_text(text)}
    (tmp_path / "certificate.json").write_text(json.dumps({"files": said}))
    return tmp_path


def codes(root: Path, *, deep: bool = False) -> set[str]:
    found = validate(root, deep=deep).findings.as_dict()
    return {f"{finding['code']} {finding['file']}" for finding in found["findings"] if finding["severity"] == "error"}


def flip(path: Path, byte: int = -40) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)


def test_whole_it_is_clean_and_the_files_are_counted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(root).files == {"listed": 12, "found": 12, "hashed": 2}
    assert validate(root, deep=True).files == {"listed": 12, "found": 12, "hashed": 12}
    assert codes(root) == codes(root, deep=True) == set()
    assert main(["validate", str(root)]) == 0
    assert "files: 12 of 12 listed are there, 2 hashed" in capsys.readouterr().out
    assert main(["validate", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == {"listed": 12, "found": 12, "hashed": 2}


def test_a_dataset_that_says_nothing_of_itself_is_not_asked(root: Path) -> None:
    (root / "files.sha256").unlink()
    (root / "certificate.json").unlink()
    (root / "notes.txt").write_text("mine")
    assert validate(root).files is None and codes(root) == set()


SOUND = "train/WAVAudios/alpha.wav"
GONE = {f"{code} test/FEATAudios/gamma.npy" for code in ("file-missing", "features-missing")}
DIFFERS = "certificate-differs certificate.json"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda root: (root / "test/FEATAudios/gamma.npy").unlink(), GONE),
        (lambda root: (root / "notes.txt").write_text("mine"), {"file-extra notes.txt"}),
        (lambda root: (root / "train/certificate.json").write_text("{}"), {"file-extra train/certificate.json"}),
        (
            lambda root: (root / "train.json").write_text((root / "train.json").read_text() + "\n"),
            {"file-changed train.json", DIFFERS},
        ),
        (
            lambda root: (root / SOUND).write_bytes((root / SOUND).read_bytes() + b"\0\0"),
            {DIFFERS},
        ),
        (lambda root: (root / "files.sha256").unlink(), {"list-unreadable files.sha256"}),
        (lambda root: (root / "certificate.json").unlink(), {"certificate-unreadable certificate.json"}),
        (lambda root: (root / "certificate.json").write_text("[]"), {"certificate-unreadable certificate.json"}),
        (lambda root: (root / "files.sha256").write_bytes(b"\xff\xfe"), {"list-unreadable files.sha256", DIFFERS}),
    ],
)
def test_what_differs_is_an_error(root: Path, damage: Damage, expected: set[str]) -> None:
    damage(root)
    assert codes(root) == expected
    assert main(["validate", str(root)]) == 3


def test_another_byte_in_the_media_needs_a_deep_look(root: Path) -> None:
    flip(root / SOUND)
    flip(root / "test/JPEGImages/gamma/1.jpg")
    assert codes(root) == set()
    assert codes(root, deep=True) >= {f"file-changed {SOUND}", "file-changed test/JPEGImages/gamma/1.jpg"}


def test_a_list_that_was_adapted_to_the_change_is_not_the_one_of_the_certificate(root: Path) -> None:
    flip(root / SOUND)
    text = (root / "files.sha256").read_text().splitlines()
    lines = [f"{sha256_file(root / SOUND)}  {SOUND}" if line.endswith(SOUND) else line for line in text]
    (root / "files.sha256").write_text("\n".join(lines) + "\n")
    assert codes(root, deep=True) == {DIFFERS}


def test_lines_that_are_none_and_lines_that_are_there_twice(root: Path) -> None:
    path = root / "files.sha256"
    first = path.read_text().splitlines()[0]
    path.write_text(f"{path.read_text()}{first}\nnonsense\n{'a' * 64}  ../../etc/passwd\n")
    found = validate(root).findings.as_dict()["by_code"]
    assert (found["list-doubled"], found["list-unreadable"], found["file-missing"]) == (1, 1, 1)
