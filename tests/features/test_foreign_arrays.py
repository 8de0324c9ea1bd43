"""Arrays, sounds, pictures, tables and weights of others: damaged or of another form they end in our errors.

Every place of the product that opens such a file stands in a row below: with a reader that is given hostile files, or
with the reason why there are none. A new place without a row fails.
"""

from __future__ import annotations

import ast
import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from avis_data.annotation.propagation.footage import Footage
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.workspace_stills import _decoded
from avis_data.door.opening import _ReadRows
from avis_data.door.sounds import read_sound as read_door_sound
from avis_data.errors import AvisError, DataError, ItemError
from avis_data.features.activity import clip_activity
from avis_data.features.arrays import check_rows, load_npy
from avis_data.features.store import bucket, part_name, read_embeddings
from avis_data.fingerprints.making import _samples, picture_fingerprint
from avis_data.fingerprints.store import read_clip_fingerprint, read_fingerprints
from avis_data.formats.avsbench_masks import label_of, mask_files
from avis_data.formats.boards.mots_sequences import _has_16_bits
from avis_data.formats.boards.sa_v_writing import _put_jpeg
from avis_data.formats.hubs.parquet_files import read_parquet_files
from avis_data.formats.sets.clips import Media
from avis_data.formats.sets.files import picture_pixels, picture_size
from avis_data.formats.tools.json_shapes import picture_of_base64
from avis_data.formats.ytvis_set_files import _Embeddings
from avis_data.masks.table import read_masks
from avis_data.media.given_sound import write_16k
from avis_data.media.stereo import read_stereo
from avis_data.media.stills import open_still
from avis_data.paths import Workspace
from avis_data.pipelines.doctor.workspace_files import _array, _sound
from avis_data.pipelines.exports.avsbench_files import _read_picture
from avis_data.pipelines.exports.media import same_wav
from avis_data.pipelines.imports.matching import _dots
from avis_data.pipelines.rebuild.assemble import _samples as clip_samples
from avis_data.pipelines.stages.adopt import _check_still
from avis_data.pipelines.stages.embed import _blocks, _read_array
from avis_data.quality import validate
from avis_data.quality.channels import channel_differences
from avis_data.records import Clip
from avis_data.report.sheet import loudness
from avis_data.stress.waves import read_wave
from avis_data.training.data.audio_features import NpyRows
from avis_data.training.data.audio_slices import read_slices
from avis_data.training.data.audio_sound import SoundFile, read_sound
from avis_data.training.data.audio_summary import SecondSummaries, StereoSummaries, WindowSummaries
from avis_data.training.data.avsbench_sound import _examples_of
from avis_data.training.data.frame_times import FrameTimes
from avis_data.training.predict.visualize_avs import _values
from avis_data.versions.media_prints import print_of
from avis_data.weights.files import read_metadata, read_tensors
from support.hostile_files import HOSTILE, NAN, embeddings
from support.places import ROOT
from support.ytvis_world import write_split

ROOMS = ("avis_data", "pipelines", "annotation", "training")
FILES = sorted({path.resolve() for room in ROOMS for path in (ROOT / room).rglob("*.py")})
OPENING = {
    "np.load", "soundfile.read", "soundfile.SoundFile", "soundfile.info", "wave.open", "pq.ParquetFile",
    "pq.read_table", "torch.load", "load_file", "safe_open", "Image.open",
}  # fmt: skip
"""Calls that open a file of numbers."""
TIMES = FrameTimes(fps=1, instants_s=(0.5, 1.5, 2.5))
ROWS = NpyRows(folder="FEATAudios", width=128, hint="avis-data embed")
Read = Callable[[Path], object]


def features_of(path: Path) -> object:
    """As training opens a file, and then reads it."""
    if fault := ROWS.problem(path, TIMES):
        raise DataError(fault)
    return ROWS.read(path, [0, 1, 2], TIMES)


def sound_of(path: Path) -> object:
    """As training opens a file, and then reads it."""
    if fault := SoundFile().problem(path, TIMES):
        raise DataError(fault)
    return read_sound(path)


def fingerprinted(path: Path) -> object:
    """As its stage does: what is no file to read is its item's failure."""
    is_sound = path.suffix == ".wav"
    try:
        return _samples(path) if is_sound else picture_fingerprint([path])
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from None


def samples_of_clip(path: Path) -> object:
    """The sound of a clip in its workspace."""
    clip = Workspace(path.parent).clip_dir("a")
    clip.mkdir(parents=True)
    path.rename(clip / "audio.wav")
    return clip_samples(Workspace(path.parent), cast(Clip, SimpleNamespace(clip_id="a")))


def printed(path: Path) -> object:
    sound_N = np.zeros(16000, np.int16)
    return print_of("a", [path], sound_N, source_sha256="0" * 64, sound_sha256="0" * 64)


def in_an_export(kind: str, name: str) -> Read:
    """Put a file into an export and check it."""

    def read(path: Path) -> None:
        root = path.parent / "export"
        root.mkdir()
        write_split(root, "val", ["alpha"])
        (root / "val" / kind / name).write_bytes(path.read_bytes())
        report = validate(root, deep=True)
        if not report.is_clean:
            raise DataError(str(report.findings.kept[0]))

    return read


def stereo_of_an_export(path: Path) -> None:
    """What is no sound is told in the row of its clip."""
    root = path.parent / "export"
    root.mkdir()
    write_split(root, "val", ["alpha"])
    (root / "val" / "WAVAudios" / "alpha.wav").write_bytes(path.read_bytes())
    found = channel_differences(root)["val"]["alpha"]
    if isinstance(found, str) and found.startswith("cannot be read"):
        raise DataError(found)


def cached(path: Path) -> None:
    """A damaged entry is made again."""
    cache = EmbeddingCache(path.parent, engine="e", weights_sha256=None, most_bytes=1 << 20)
    path.rename(cache._path("0" * 64))
    if cache.get("0" * 64) is None:
        raise DataError("made again")


def still_of_footage(path: Path) -> object:
    (path.parent / "00000.jpg").write_bytes(path.read_bytes())
    footage = object.__new__(Footage)
    footage._frames = path.parent
    return footage._still(0)


def weights(path: Path) -> object:
    return read_metadata(path), read_tensors(path)


def part(read: Callable[[Path], Iterator[object]]) -> Read:
    """A file as the only part of a table."""

    def read_all(path: Path) -> None:
        path.rename(path.parent / part_name(bucket("a")))
        if not list(read(path.parent)):
            raise DataError("holds nothing")

    return read_all


def media(path: Path) -> Media:
    return Media(name=path.name, path=path)


def unless_false(answer: object) -> object:
    """For readers that say no in place of an error."""
    if answer is False or answer is None:
        raise DataError("no")
    return answer


ENTRIES: dict[str, dict[str, list[Read]]] = {
    "array": {
        "avis_data/features/arrays.py": [
            lambda path: check_rows(load_npy(path), what="x", num_rows=3, width=128),
            features_of,
            lambda path: _ReadRows(path, 3)(),
            lambda path: _Embeddings(path, 3)(),
            lambda path: (_array(Workspace(path.parent), path), check_rows(np.load(path), what="x", num_rows=3)),
            lambda path: check_rows(_read_array("a", path), what="x", num_rows=3, width=128),
            in_an_export("FEATAudios", "alpha.npy"),
        ],
    },
    "masks": {
        "avis_data/formats/avsbench_masks.py": [
            lambda path: [found.load() for found in mask_files(path.parent, ("_gt",)).values()],
        ],
        "annotation/serve/embedding_cache.py": [cached],
        "avis_data/fingerprints/store.py": [lambda path: read_clip_fingerprint("a", path)],
    },
    "sound": {
        "avis_data/door/sounds.py": [read_door_sound],
        "avis_data/features/activity.py": [clip_activity],
        "avis_data/stress/waves.py": [read_wave],
        "avis_data/media/given_sound.py": [
            lambda path: write_16k(path, path.with_suffix(".raw"), num_seconds=2),
        ],
        "avis_data/media/stereo.py": [lambda path: read_stereo(path, num_seconds=2)],
        "avis_data/quality/channels.py": [stereo_of_an_export],
        "avis_data/quality/media.py": [in_an_export("WAVAudios", "alpha.wav")],
        "avis_data/fingerprints/making.py": [fingerprinted],
        "pipelines/doctor/workspace_files.py": [lambda path: _sound(Workspace(path.parent), path)],
        "pipelines/rebuild/assemble.py": [samples_of_clip],
        "avis_data/report/sheet.py": [lambda path: loudness(path, num_seconds=2, bars_per_second=10)],
        "pipelines/exports/media.py": [lambda path: unless_false(same_wav(path, np.zeros(16000, np.int16)))],
        "pipelines/stages/embed.py": [lambda path: list(_blocks(path, 2))],
        "training/data/audio_sound.py": [
            sound_of,
            lambda path: read_slices(path, [0, 1, 2], len(TIMES)),
            lambda path: WindowSummaries().read(path, [0, 1], TIMES),
            lambda path: SecondSummaries().read(path, [0, 1], TIMES),
            lambda path: StereoSummaries().read(path, [0, 1], TIMES),
        ],
    },
    "picture": {
        "avis_data/media/stills.py": [open_still],
        "avis_data/fingerprints/making.py": [fingerprinted],
        "avis_data/versions/media_prints.py": [printed],
        "avis_data/formats/avsbench_masks.py": [
            lambda path: label_of(path, "s4", 2),
            lambda path: label_of(path, "avss", 71),
        ],
        "avis_data/formats/boards/mots_sequences.py": [lambda path: unless_false(_has_16_bits([path]))],
        "avis_data/formats/boards/sa_v_writing.py": [lambda path: _put_jpeg(media(path), path.with_name("out.jpg"))],
        "avis_data/formats/sets/files.py": [lambda path: (picture_size(media(path)), picture_pixels(path))],
        "avis_data/formats/tools/json_shapes.py": [
            lambda path: picture_of_base64(base64.b64encode(path.read_bytes()).decode()),
        ],
        "avis_data/quality/media.py": [in_an_export("JPEGImages/alpha", "0.jpg")],
        "pipelines/exports/avsbench_files.py": [lambda path: unless_false(_read_picture(path))],
        "pipelines/imports/matching.py": [lambda path: _dots(media(path))],
        "pipelines/stages/adopt.py": [lambda path: _check_still("x", path.read_bytes(), (31, 24))],
        "annotation/propagation/footage.py": [still_of_footage],
        "annotation/serve/workspace_stills.py": [lambda path: _decoded(path.read_bytes())],
        "training/predict/visualize_avs.py": [lambda path: _values(path, (31, 24), {0: "a", 1: "b"})],
    },
    "table": {
        "avis_data/features/store.py": [part(read_embeddings)],
        "avis_data/masks/table.py": [part(read_masks)],
        "avis_data/fingerprints/store.py": [part(read_fingerprints)],
        "avis_data/formats/hubs/parquet_files.py": [lambda path: list(read_parquet_files([path]))],
    },
    "weights": {"avis_data/weights/files.py": [weights]},
}
"""Kind of file -> module that opens it -> readers."""
OWN = {
    "avis_data/media/sound.py": "it writes",
    "avis_data/report/errors.py": "a picture that it has drawn itself a moment before",
    "pipelines/exports/certificate.py": "a table that the same export has read whole before",
    "pipelines/exports/ytvis_files.py": "an array that the same export has written before",
    "pipelines/upkeep/verify.py": "it looks for hashes in texts of tables, and uses no number",
    "pipelines/stages/extract.py": "a still that ffmpeg has made a moment before, in an empty folder",
    "training/data/avsbench_sound.py": "the storage of a tensor, inside an unpickler with an allow-list; see below",
    "training/data/video_dataset.py": "an array that it has made itself a moment before",
}
"""Module -> why it is given no hostile file here."""


def test_every_place_that_opens_numbers_has_a_row() -> None:
    found = {path.relative_to(ROOT).as_posix() for path in FILES if OPENING & set(_calls(path))}
    rows = {module for modules in ENTRIES.values() for module in modules} | set(OWN)
    assert found - rows == set(), "a module opens files of numbers: give it a row with hostile files"
    assert rows - found == set(), "rows of modules that open nothing"


def _calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).replace("numpy.", "np.")


def test_whoever_opens_a_picture_catches_all_that_pillow_raises() -> None:
    bare = []
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        guarded = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.Try)
            and any("UNREADABLE_PICTURE" in ast.unparse(h.type or node) for h in node.handlers)
            for inner in ast.walk(node)
        }
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func) == "Image.open"]
        bare += [f"{path.relative_to(ROOT)}:{node.lineno}" for node in calls if id(node) not in guarded]
    assert {place.partition(":")[0] for place in bare} == {
        "avis_data/report/errors.py",
        "pipelines/stages/extract.py",
        "avis_data/formats/avsbench_masks.py",  # `_picture`, whose caller catches it
    }


CASES = [
    (kind, module, number, name)
    for kind, modules in ENTRIES.items()
    for module, readers in modules.items()
    for number in range(len(readers))
    for name in (*HOSTILE["any"], *HOSTILE[kind])
]
TAKEN = {("sound", "header only")}
"""A sound without a sample is silence."""
SUFFIX = {"array": ".npy", "masks": ".npy", "sound": ".wav", "picture": ".png", "table": ".parquet", "weights": ".pth"}


@pytest.mark.parametrize(("kind", "module", "number", "name"), CASES)
def test_hostile_files_end_in_our_errors(
    kind: str, module: str, number: int, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"a{SUFFIX[kind]}"
    path.write_bytes({**HOSTILE["any"], **HOSTILE[kind]}[name])
    try:
        ENTRIES[kind][module][number](path)
    except (AvisError, ItemError) as error:
        assert str(error)
    else:
        assert (kind, name) in TAKEN
    assert "code of a stranger ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", [*HOSTILE["any"], *HOSTILE["array"]])
def test_hostile_log_mel_examples_and_pickles_end_in_our_errors(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in (".npy", ".pkl"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes({**HOSTILE["any"], **HOSTILE["array"]}[name])
        with pytest.raises(DataError):
            _examples_of(path)
    assert "code of a stranger ran" not in capsys.readouterr().out


@pytest.mark.parametrize("name", [*HOSTILE["any"], "cut off", "NaN"])
def test_hostile_safetensors_end_in_our_errors(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.full((30,), torch.nan)}, path)
    whole = path.read_bytes()
    path.write_bytes(HOSTILE["any"].get(name, whole[:-8] if name == "cut off" else whole))
    with pytest.raises(DataError):
        weights(path)


@pytest.mark.parametrize("values", [NAN, -NAN * np.inf], ids=["NaN", "infinity"])
def test_numbers_that_are_none_in_a_table_are_told(values: np.ndarray, tmp_path: Path) -> None:
    content = embeddings(tmp_path, values)
    for name, data in {"whole": content, "cut off": content[:-30]}.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "x").write_bytes(data)
        with pytest.raises(DataError):
            part(read_embeddings)(folder / "x")
