"""Parquet for hubs: `datasets` loads it offline, everything comes back, and equal clips give equal bytes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from avis_data.errors import ConfigError, DataError
from avis_data.formats.hubs.about import About
from avis_data.formats.hubs.hf import HF, HfWriter
from avis_data.formats.sets.clips import LabelledClip
from avis_data.formats.sets.compare import differences
from avis_data.formats.sets.options import with_options
from support.format_readers import same_pixels
from support.labelled_sets import (
    check_all_comes_back,
    check_expected,
    facts_of,
    odd_clips,
    read_set,
    unread,
    with_embeddings,
    write_set,
)
from support.places import NEEDS_SHARED, SHARED

_LOADED = """
import json, sys
from datasets import Audio, load_dataset
found = load_dataset(sys.argv[1])
out = {}
for split, rows in found.items():
    rows = rows.cast_column("audio", Audio(decode=False))
    for row in rows:
        pictures = [[p.mode, list(p.size), p.convert("RGB").tobytes().hex()] for p in row.pop("images")]
        audio = row.pop("audio")
        out[row["clip_id"]] = row | {"split": split, "pictures": pictures, "audio": audio["bytes"].hex()}
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def clips() -> list[LabelledClip]:
    found = with_embeddings([clip for seed in range(3) for clip in odd_clips(seed)])
    return sorted(found, key=lambda clip: clip.name)


@pytest.mark.cell("hf", "trip", "out")
@pytest.mark.parametrize("seed", range(8))
def test_everything_comes_back(seed: int, tmp_path: Path) -> None:
    clips = with_embeddings(odd_clips(seed, 5))
    check_all_comes_back(HF, tmp_path / "set", clips)


@pytest.mark.cell("hf", "reader")
def test_datasets_loads_it_without_a_network(clips: list[LabelledClip], tmp_path: Path) -> None:
    write_set(HF, tmp_path / "set", clips)
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", _LOADED, str(tmp_path / "set")]
    ended = subprocess.run(command, capture_output=True, text=True, env=kept | offline, timeout=300)
    assert ended.returncode == 0, ended.stderr[-2000:]
    rows = json.loads(ended.stdout.splitlines()[-1])
    assert sorted(rows) == [clip.name for clip in clips]
    for clip in clips:
        row = rows[clip.name]
        assert (row["split"], row["license"], row["fps"]) == (clip.split, clip.license, clip.fps)
        assert clip.sound is not None and bytes.fromhex(row["audio"]) == clip.sound.read()
        assert clip.embeddings_TD is not None and np.array_equal(np.float32(row["embeddings"]), clip.embeddings_TD())
        for still, (mode, size, pixels) in zip(clip.stills, row["pictures"], strict=True):
            assert still.picture is not None and mode == "RGB" and size == [clip.width, clip.height]
            with Image.open(io.BytesIO(still.picture.read())) as picture:
                assert bytes.fromhex(pixels) == picture.convert("RGB").tobytes()
        for found, track in zip(row["tracks"], clip.tracks, strict=True):
            assert (found["track_id"], found["category"]) == (track.track_id, track.category)
            assert found["sounding"] == list(track.sounding)
            for mask, wanted in zip(found["segmentations"], track.masks, strict=True):
                assert same_pixels(mask, wanted)


def test_equal_clips_give_equal_bytes_and_files_are_cut_by_size(clips: list[LabelledClip], tmp_path: Path) -> None:
    loud = [replace(clip, name=f"{clip.name}_{copy}", split="train") for copy in range(8) for clip in clips]
    loud.sort(key=lambda clip: clip.name)
    assert isinstance(HF.writer, HfWriter)
    small = replace(HF, writer=with_options(HF.writer, {"shard_mb": 1}, owner="hf"))
    names = write_set(small, tmp_path / "one", loud)
    assert write_set(small, tmp_path / "two", loud) == names
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)
    shards = [name for name in names if name.endswith(".parquet")]
    assert (
        shards == [f"data/train-{n:05d}-of-{len(shards):05d}.parquet" for n in range(len(shards))] and len(shards) > 2
    )
    assert all((tmp_path / "one" / name).stat().st_size < 2_000_000 for name in shards)
    assert [clip.name for clip in read_set(small, tmp_path / "one")] == [clip.name for clip in loud]
    with pytest.raises(ConfigError, match="--shard-mb 0"):
        write_set(replace(HF, writer=HfWriter(shard_mb=0)), tmp_path / "none", clips)


def test_the_card_says_licences_splits_and_where_to_write(clips: list[LabelledClip], tmp_path: Path) -> None:
    report = tmp_path / "agreement.json"
    report.write_text('{"clips": 7, "iou": {"mean": 0.81}}')
    spec = replace(HF, writer=HfWriter(about=About(contact="data@example.com", agreement=str(report))))
    write_set(spec, tmp_path / "set", clips)
    _, head, body = (tmp_path / "set" / "README.md").read_text().split("---\n", 2)
    told = yaml.safe_load(head)
    assert (told["license"], told["license_name"], told["size_categories"]) == ("other", "per-clip", ["n<1K"])
    assert [entry["split"] for entry in told["configs"][0]["data_files"]] == sorted(
        {clip.split for clip in clips}, key=lambda split: next(n for n, clip in enumerate(clips) if clip.split == split)
    )
    assert "data@example.com" in body and "clips 7, iou mean 0.81" in body
    rows = (tmp_path / "set" / "LICENSES.csv").read_text().splitlines()
    assert rows[0] == "clip_id,split,license,source,url,start_s" and len(rows) == len(clips) + 1
    one = [replace(clip, license="CC-BY-4.0") for clip in clips]
    write_set(HF, tmp_path / "one", one)
    assert yaml.safe_load((tmp_path / "one" / "README.md").read_text().split("---\n")[1])["license"] == "cc-by-4.0"
    with pytest.raises(ConfigError, match="--agreement"):
        write_set(replace(HF, writer=HfWriter(about=About(agreement=str(tmp_path / "gone")))), tmp_path / "none", clips)


@NEEDS_SHARED
@pytest.mark.cell("hf", "in")
def test_the_fixture_of_datasets_is_read_to_the_pixel() -> None:
    fixture = SHARED / "format_fixtures" / "hf"
    expected = json.loads((fixture / "expected.json").read_text())
    for path in (fixture, fixture / "data" / "train-00000-of-00001.parquet"):
        assert HF.reader is not None and HF.reader.looks_right(path)
        (clip,) = read_set(HF, path)
        check_expected(clip, expected)
        assert clip.split == "train" and clip.sound is not None and clip.sound.read()[:4] == b"RIFF"
        assert [still.name for still in clip.stills] == ["00000", "00001", "00002"]


def test_all_that_is_wrong_in_a_row_is_told_and_other_rows_are_read(tmp_path: Path) -> None:
    clips = [replace(clip, name=name, split="val") for clip, name in zip(odd_clips(2, 3), "abc", strict=True)]
    write_set(HF, tmp_path, clips)
    file = tmp_path / "data" / "val-00000-of-00001.parquet"
    table = pq.read_table(file)
    rows = table.to_pylist()
    rows[1]["width"] += 1
    rows[1]["tracks"] = [{"track_id": "", "category": None, "segmentations": [], "sounding": []}] * 2
    rows[2]["clip_id"] = "a"
    pq.write_table(table.from_pylist(rows, schema=table.schema), file)
    problems = unread(HF, tmp_path)
    assert set(problems) == {"a", "b"} and all("2 rows" in line for line in problems["a"])
    assert sum("track_id" in line for line in problems["b"]) == 2
    assert any("pixels" in line and "row 1" in line for line in problems["b"])


def test_what_is_no_such_set_is_refused(tmp_path: Path) -> None:
    assert HF.reader is not None
    (tmp_path / "a.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(DataError, match=r"a\.parquet"):
        list(HF.reader.read(tmp_path))
    pq.write_table(pq.read_table(io.BytesIO(_table({"text": ["x"]}))), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="clip_id, images, tracks"):
        list(HF.reader.read(tmp_path))
    assert not HF.reader.looks_right(tmp_path / "gone")


def _table(columns: dict[str, list[str]]) -> bytes:
    import pyarrow as pa

    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def test_facts_of_a_set_without_a_certificate_are_plain(clips: list[LabelledClip], tmp_path: Path) -> None:
    write_set(HF, tmp_path, [replace(clip, license=None) for clip in clips], facts_of(clips, fps=None))
    text = (tmp_path / "README.md").read_text()
    assert "without a stated licence" in text and "None" not in text.replace("null", "")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"untrained": True, "weights_sha256": {"untrained-1": 9}}, "random weights, for tests"),
        ({"untrained": False, "weights_sha256": {"10086976ab": 9}}, "sha256 10086976ab"),
        (None, "taken over from another set"),
    ],
)
def test_the_card_says_what_made_the_embeddings(
    made: dict[str, object] | None, said: str, clips: list[LabelledClip], tmp_path: Path
) -> None:
    facts = replace(facts_of(clips), certificate={} if made is None else {"embeddings": made})
    for name, there in (("with", clips), ("without", [replace(clip, embeddings_TD=None) for clip in clips])):
        write_set(HF, tmp_path / name, there, facts)
        collection = (tmp_path / name / "README.md").read_text().partition("## Collection")[2].partition("##")[0]
        assert (said in collection) == (name == "with")


def test_another_sound_and_other_embeddings_are_noticed_when_a_set_is_read_back(clips: list[LabelledClip]) -> None:
    whole = clips[0]
    assert list(differences(whole, whole, HF)) == []
    for other in (clips[1].sound, None):
        assert list(differences(replace(whole, sound=other), whole, HF)) == ["the sound is not what was written"]
    for rows in (clips[1].embeddings_TD, None):
        found = replace(whole, embeddings_TD=rows)
        assert list(differences(found, whole, HF)) == ["the embeddings are not what was written"]
