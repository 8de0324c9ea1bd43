"""A written division: every form of file, and every way in which it can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.errors import DataError, ProblemsError
from avis_data.splits import SplitClip
from avis_data.splits.written import assign_from_entries, read_split_file

CLIPS = [
    SplitClip(clip_id=clip_id, video_id=video_id, group=video_id)
    for clip_id, video_id in [("a1", "a"), ("a2", "a"), ("b", "b"), ("c1", "c")]
]
WANTED = {"a1": "train", "a2": "train", "b": "val", "c1": "test"}


def divide(path: Path) -> dict[str, str]:
    return dict(assign_from_entries(CLIPS, read_split_file(path), origin=path.name).split_of)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("by_clip.csv", "clip_id,split\na1,train\na2,train\nb,val\nc1,test\n"),
        ("bom_and_columns.csv", "\ufeffnote, split , clip_id\nx,Train,a1\ny,train,a2\n,val,b\n,test,c1\n"),
        ("by_video.csv", "video_id,split\na,train\nb,val\nc,test\n"),
        ("by_id.json", '{"a1": "train", "a2": "train", "b": "val", "c1": "test"}'),
        ("lists.json", '{"train": ["a"], "val": ["b"], "test": ["c1"]}'),
        ("objects.json", '[{"video_id": "a", "split": "train"}, {"clip_id": "b", "split": "val"},'
                         ' {"clip_id": "c1", "split": "test"}]'),
    ],
)  # fmt: skip
def test_every_form_gives_the_same_division(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert divide(path) == WANTED


def test_all_that_is_wrong_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("clip_id,split\na1,train\na2,val\nnobody,train\na1,test\n", encoding="utf-8")
    with pytest.raises(ProblemsError) as caught:
        divide(path)
    message = str(caught.value)
    assert "'nobody' is no clip" in message and f"{path}:4" in message
    assert "'a1' was already given 'train' at" in message
    assert "'b' is not named" in message and "'c1' is not named" in message
    assert "source 'a' would be divided: a1 in train, a2 in val" in message


def test_bad_names_do_not_hide_what_else_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("clip_id,split\na1,training\na2,train\nnobody,train\na2,val\n,val\nc1,test\n", encoding="utf-8")
    with pytest.raises(ProblemsError) as caught:
        divide(path)
    assert [(problem.where, problem.field, problem.message) for problem in caught.value.problems] == [
        (f"{path}:2", "split", "'training' is none of train, val, test"),
        (f"{path}:4", "clip_id", "'nobody' is no clip of this export"),
        (f"{path}:5", "split", f"clip 'a2' was already given 'train' at {path}:3"),
        (f"{path}:6", "clip_id", "is empty"),
        ("splits.csv", "clip_id", "'b' is not named"),
    ]
    assert "5 problem(s)" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("split.csv", "clip_id,split\na1,training\n", "'training' is none of train, val, test"),
        ("split.csv", "clip_id,split\na1\n", "'' is none of"),
        ("split.csv", "clip_id,split\n,train\n", "is empty"),
        ("split.csv", "id,fold\na1,train\n", "header must have clip_id"),
        ("split.csv", "", "header must have clip_id"),
        ("split.csv", "clip_id,split\n", "holds no entries"),
        ("split.json", "[1, 2]", "must be an object"),
        ("split.json", '"train"', "must be a list of objects"),
        ("split.json", '{"train": ', "not JSON"),
        ("split.json", "{}", "holds no entries"),
        ("split.json", '{"a1": ["train"]}', "'a1' is none of"),
    ],
)
def test_a_bad_file_is_told_plainly(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        divide(path)


def test_a_missing_or_binary_file_is_told_plainly(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.csv"):
        read_split_file(tmp_path / "nothing.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01" * 40)
    with pytest.raises(DataError, match="cannot be read"):
        read_split_file(tmp_path / "binary.csv")
