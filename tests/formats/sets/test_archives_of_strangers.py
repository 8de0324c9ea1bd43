"""Archives, XML and JSON that are damaged, hostile or made by odd programs: read, or told in a sentence."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from avis_data.errors import DataError, Problem
from avis_data.formats.sets.clips import LabelledClip, UnreadClip
from avis_data.formats.sets.files import named_as_given, opened_set, xml_events
from avis_data.io import read_json

TEXT = "".join(f"<image id='{number}' name='frame_{number * 7919 % 1000}.png'/>" for number in range(200)).encode()
Members = list[tuple[str, bytes]]


def archive(path: Path, members: Members, kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as out:
        for name, data in members:
            out.writestr(name, data)
    return path


def names_in(path: Path) -> list[str]:
    with opened_set(path) as root:
        return sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file())


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_with_any_byte_broken_is_told(tmp_path: Path, kind: int) -> None:
    whole = archive(tmp_path / "whole.zip", [("a/labels.xml", TEXT)], kind).read_bytes()
    broken, told = tmp_path / "broken.zip", 0
    for place in range(0, len(whole), 3):
        broken.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            names_in(broken)
        except DataError as error:
            told += str(broken) in str(error)
    assert told > len(whole) / 6


@pytest.mark.parametrize(
    "names",
    [
        ["a", "a/labels.xml"],
        ["a/labels.xml", "a"],
        ["a" * 300 + ".xml"],
        ["../labels.xml"],
        ["a/../../labels.xml"],
        ["/labels.xml"],
        ["..\\labels.xml"],
        ["C:\\labels.xml"],
    ],
)
def test_names_that_cannot_be_files_are_told_and_nothing_lies_outside(tmp_path: Path, names: list[str]) -> None:
    path = archive(tmp_path / "set.zip", [(name, TEXT) for name in names])
    with pytest.raises(DataError, match=r"set\.zip"):
        names_in(path)
    assert [file.name for file in tmp_path.iterdir()] == ["set.zip"]


def test_an_archive_of_windows_or_of_macos_has_the_same_files(tmp_path: Path) -> None:
    """Paths with backslashes; the files that macOS adds look like labels by their names."""
    windows = archive(tmp_path / "windows.zip", [("task\\labels.xml", TEXT), ("task\\images\\0.png", b"")])
    assert names_in(windows) == ["task/images/0.png", "task/labels.xml"]
    added = [("__MACOSX/task/._labels.xml", b"\0\5\26\7"), ("task/._labels.xml", b"\0"), ("task/.DS_Store", b"\0")]
    assert names_in(archive(tmp_path / "mac.zip", [("task/labels.xml", TEXT), *added])) == ["task/labels.xml"]


def test_faults_in_an_archive_name_it_and_not_where_it_was_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "set.zip", [("a/labels.xml", TEXT)])

    def clips() -> Iterator[LabelledClip | UnreadClip]:
        with opened_set(path) as root:
            where = f"{root / 'a' / 'labels.xml'}: image[3]"
            yield UnreadClip(name="a", problems=(Problem(where, "id", f"is also that of {where}"),))
            yield LabelledClip(name="b", width=1, height=1, stills=(), tracks=(), remarks=(f"{where}: left out",))
            raise DataError(f"{root / 'b.xml'}: is cut off")

    found = named_as_given(clips(), path)
    unread, clip = next(found), next(found)
    assert isinstance(unread, UnreadClip) and isinstance(clip, LabelledClip)
    where = f"{path}/a/labels.xml: image[3]"
    assert str(unread.problems[0]) == f"{where}: id: is also that of {where}"
    assert clip.remarks == (f"{where}: left out",)
    with pytest.raises(DataError) as error:
        next(found)
    assert str(error.value) == f"{path}/b.xml: is cut off"


def entities(text: str) -> str:
    return f'<!DOCTYPE a [<!ENTITY x "{text}">]><a>&x;</a>'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (entities("y"), "declares a document type or entities"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "declares a document type or entities"),
        ("<!DOCTYPE a><a/>", "declares a document type or entities"),
        ("<a>&y;</a>", "line 1, column"),
        ("<a>\n<b></a>", "line 2, column"),
        ("", "not XML"),
        ("<a>" * 5000 + "</a>" * 5000, "lie in one another"),
    ],
)
def test_xml_that_no_tool_writes_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(DataError, match=said) as error:
        list(xml_events(path, "a"))
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[" * 200_000, "RecursionError"),
        (b'{"a": ' + b"9" * 5000 + b"}", "cannot be read as JSON"),
        (b'{"a": 1', "line 1, column"),
        (b"\xff\xfe{", "cannot be read as JSON"),
    ],
)
def test_json_that_no_tool_writes_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    with pytest.raises(DataError, match=said):
        read_json(path)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_json_with_and_without_a_mark_of_its_coding_is_read(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(start + '{"ä": 1}'.encode())
    assert read_json(path) == {"ä": 1}


@pytest.mark.parametrize("write", [bytes, lambda data: data.decode().encode("utf-16")])
def test_xml_in_any_coding_is_read(tmp_path: Path, write: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(write("<a><b>ä</b></a>".encode()))
    assert [element.text for element in xml_events(path, "b")] == ["ä"]
