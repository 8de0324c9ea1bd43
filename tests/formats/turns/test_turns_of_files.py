"""Files of turns: which of three forms one is, what it says of a still, and every line that cannot be read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avis_data.errors import DataError
from avis_data.formats.sets.clips import LabelledTrack
from avis_data.formats.turns.reading import read_turns
from avis_data.formats.turns.records import Turn, Turns, flags_by, names_of, sounding_flags, turn_names, unmatched
from support.labelled_sets import odd_clips
from support.places import NEEDS_SHARED, SHARED

RTTM = "SPEAKER clip_a 1 0.000 1.000 <NA> <NA> dog_1 <NA> <NA>"
AVA_HEADER = "video_id,frame_timestamp,entity_box_x1,entity_box_y1,entity_box_x2,entity_box_y2,label,entity_id"


def ava(time: float, label: str = "SPEAKING_AUDIBLE", entity: str = "e") -> str:
    return f"clip_a,{time:.2f},0.1,0.1,0.2,0.2,{label},{entity}"


def saved(folder: Path, *lines: str, ending: str = "\n") -> Path:
    path = folder / "turns.txt"
    path.write_text("".join(f"{line}{ending}" for line in lines), encoding="utf-8")
    return path


def spans(turns: Turns) -> list[tuple[str, str, float, float, bool]]:
    return [(turn.clip, turn.track, turn.start_s, turn.end_s, turn.is_sounding) for turn in turns.turns]


@NEEDS_SHARED
@pytest.mark.cell("rttm", "in")
def test_the_fixture_of_pyannote_says_what_it_should() -> None:
    expected = json.loads((SHARED / "format_fixtures/rttm/expected.json").read_text())
    turns = read_turns(SHARED / "format_fixtures/rttm/clip_a.rttm")
    found = {name: [[turn.start_s, turn.end_s] for turn in own] for name, own in turns.by_clip["clip_a"].items()}
    assert (turns.form, found) == ("rttm", expected["segments_s"])


@NEEDS_SHARED
@pytest.mark.cell("ava-speaker", "in")
def test_the_fixture_of_ava_says_what_it_should() -> None:
    expected = json.loads((SHARED / "format_fixtures/ava/expected.json").read_text())
    turns = read_turns(SHARED / "format_fixtures/ava/clip_a-activespeaker.csv")
    for track in expected["tracks"]:
        said = sounding_flags(turns, "clip_a", [f"clip_a_{track['id']}"], [0, 1, 2])
        assert list(said) == track["sounding"], "what has no row is not said"


@pytest.mark.parametrize(
    ("lines", "form", "found"),
    [
        ([RTTM], "rttm", ("clip_a", "dog_1", 0.0, 1.0, True)),
        ([";; made by hand", "SPKR-INFO clip_a 1 <NA> <NA> <NA> x dog_1 <NA>", RTTM[:-5]], "rttm", None),
        (["clip_id,track,start,end", "clip_a,dog 1,0.5,2"], "csv", ("clip_a", "dog 1", 0.5, 2.0, True)),
        (["end,note,clip_id,start,track", '2,"a, b",c,1,t'], "csv", ("c", "t", 1.0, 2.0, True)),
        (["\ufeffclip_id,track,start,end", "c,t,0,1"], "csv", ("c", "t", 0.0, 1.0, True)),
        ([AVA_HEADER, ava(3)], "ava", ("clip_a", "e", 3.0, 4.0, True)),
        ([ava(3, "NOT_SPEAKING")], "ava", ("clip_a", "e", 3.0, 4.0, False)),
        ([f"{AVA_HEADER},label_id,instance_id", f"{ava(3)},1,0"], "ava", ("clip_a", "e", 3.0, 4.0, True)),
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_the_form_is_detected(
    lines: list[str], form: str, found: tuple[object, ...] | None, ending: str, tmp_path: Path
) -> None:
    turns = read_turns(saved(tmp_path, *lines, ending=ending))
    assert turns.form == form and turns.problems == ()
    assert len(turns.turns) == 1 and (found is None or spans(turns) == [found])


@pytest.mark.parametrize("text", ["", "hello\n", "a;b;c\n1;2;3\n", '{"a": 1}', "\0\0", "clip_id,track,begin,end\n"])
def test_another_file_is_refused_with_what_is_asked_for(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"x\.csv: is no file of turns(.|\n)*clip_id,track,start,end"):
        read_turns(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as text"):
        read_turns(path)


def test_every_bad_line_is_told_by_number_and_the_others_are_read(tmp_path: Path) -> None:
    bad = [*(f"SPEAKER a 1 {onset} 1 <NA> <NA> n <NA> <NA>" for onset in ("x", "-1", "nan")), "WORD"]
    turns = read_turns(saved(tmp_path, RTTM, *bad, RTTM))
    assert [problem.where.rpartition(":")[2] for problem in turns.problems] == ["2", "3", "4", "5"]
    assert len(turns.turns) == 2
    bad = ["c,t,1", "c,t,2,1", ",t,0,1", "c,,0,1", "c,t,1e99,1", "c,t,0:01,1"]
    turns = read_turns(saved(tmp_path, "clip_id,track,start,end", *bad, "c,t,0,1"))
    assert [problem.where.rpartition(":")[2] for problem in turns.problems] == ["2", "3", "4", "5", "6", "7"]
    assert len(turns.turns) == 1
    bad = [ava(1, "LOUD"), "clip_a,1", ava(5), ava(5)]
    turns = read_turns(saved(tmp_path, AVA_HEADER, *bad))
    assert [problem.where.rpartition(":")[2] for problem in turns.problems] == ["2", "3", "5"]


@pytest.mark.parametrize("seed", range(8))
def test_a_still_sounds_if_half_of_its_second_is_heard(seed: int) -> None:
    """Against a count of milliseconds."""
    rng = np.random.default_rng(seed)
    heard_ms = np.zeros(6000, bool)
    turns = []
    for start_ms, length_ms in rng.integers(0, [[6000, 2500]], (5, 2)).tolist():
        heard_ms[start_ms : start_ms + length_ms] = True
        turns.append(Turn(clip="c", track="t", start_s=start_ms / 1000, end_s=(start_ms + length_ms) / 1000))
    times = sorted(rng.choice(np.arange(0, 5000, 250), 4, replace=False).tolist())
    ends = [time + min(np.diff(times).tolist()) for time in times]
    expected = [bool(2 * heard_ms[a:b].sum() >= b - a) for a, b in zip(times, ends, strict=True)]
    found = sounding_flags(Turns(form="rttm", turns=tuple(turns)), "c", ["t"], [time / 1000 for time in times])
    assert list(found) == expected


def test_silence_and_not_said() -> None:
    rttm = Turns(form="rttm", turns=(Turn(clip="c", track="t", start_s=0, end_s=1),))
    assert sounding_flags(rttm, "c", ["t"], [0, 1]) == (True, False)
    assert sounding_flags(rttm, "c", ["quiet one"], [0, 1]) == (False, False)
    assert sounding_flags(rttm, "another", ["t"], [0, 1]) == (None, None)
    quiet = Turn(clip="c", track="t", start_s=2, end_s=3, is_sounding=False)
    ava_turns = replace(rttm, form="ava", turns=(*rttm.turns, quiet))
    assert sounding_flags(ava_turns, "c", ["t"], [0, 1, 2]) == (True, None, False)
    assert sounding_flags(ava_turns, "c", ["u"], [0, 1, 2]) == (None, None, None)


def test_rows_of_ava_at_25_a_second_are_joined(tmp_path: Path) -> None:
    rows = [ava(n / 25, "SPEAKING_AUDIBLE" if n < 40 else "SPEAKING_NOT_AUDIBLE") for n in range(75)]
    turns = read_turns(saved(tmp_path, AVA_HEADER, *rows, ava(10)))
    assert sounding_flags(turns, "clip_a", ["e"], [0, 1, 2, 5, 10]) == (True, True, False, None, None)
    assert sounding_flags(turns, "clip_a", ["e"], [0, 1, 2], period_s=1) == (True, True, False)


def test_a_track_is_found_by_its_id_or_as_our_own_files_name_it() -> None:
    (clip,) = [clip for clip in odd_clips(3, 8) if len(clip.tracks) > 2][:1]
    track = LabelledTrack(track_id="t 7", category="dog", masks=clip.tracks[0].masks, sounding=clip.tracks[0].sounding)
    clip = replace(clip, tracks=(track,))
    for name in ("t 7", "t_7", "dog_t_7", f"{clip.name}_t_7", f"{clip.name}:t 7", turn_names(clip)["t 7"]):
        assert name in names_of(clip, track)
        turns = Turns(form="csv", turns=(Turn(clip=clip.name, track=name, start_s=0, end_s=99, where="f:2"),))
        assert flags_by(turns)(clip, track) == (True,) * len(clip.stills)
        assert unmatched(turns, [clip]) == []


def test_a_name_of_no_track_is_told_with_the_nearest() -> None:
    (clip,) = [clip for clip in odd_clips(3, 8) if len(clip.tracks) > 2][:1]
    turns = Turns(form="csv", turns=(Turn(clip=clip.name, track="tt1", start_s=0, end_s=9, where="f.csv:2"),))
    (problem,) = unmatched(turns, [clip])
    assert str(problem).startswith("f.csv:2: track: 'tt1' is no track of clip") and "did you mean 't1'" in str(problem)


def test_names_are_unique_and_have_no_spaces() -> None:
    (clip,) = odd_clips(0, 1)
    ids = {"1": "dog", "dog_1": "dog", "a b": "cello", "a_b": "cello", "x": None, "dog_2": "dog"}
    empty = LabelledTrack(track_id="", category=None, masks=(None,), sounding=(None,))
    tracks = tuple(replace(empty, track_id=name, category=category) for name, category in ids.items())
    names = turn_names(replace(clip, tracks=tracks))
    assert len(set(names.values())) == len(names) and not any(" " in name for name in names.values())
    assert turn_names(replace(clip, tracks=(tracks[1], tracks[2]))) == {"dog_1": "dog_1", "a b": "cello_a_b"}
