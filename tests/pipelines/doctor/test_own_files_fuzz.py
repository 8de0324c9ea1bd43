"""Every kind of file of ours, damaged in many ways by seed: told as our error with its place, never as a traceback."""

from __future__ import annotations

import gzip
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from avis_data.cli.main import main
from avis_data.errors import AvisError
from avis_data.fingerprints.store import read_fingerprints, write_clip_fingerprint
from avis_data.io import write_json
from avis_data.paths import Workspace
from avis_data.pipelines.doctor.examination import Health, examine_workspace
from avis_data.pipelines.doctor.files import OWN_FILES, FileKind, not_read
from avis_data.pipelines.upkeep.places import PLACES, Holds
from avis_data.pipelines.upkeep.tombstones import Removal, write_removal
from avis_data.records import SoundState, StillTime, Times
from avis_data.training.config import load_config
from avis_data.training.run.run_folder import RunFolder, RunState
from support.full_workspace import CLIPS, full_workspace
from support.places import NEEDS_SHARED, SHARED

WAYS = 24
STATUS, EXPORT, REVIEW = ["status"], ["export", "--split", "1/1/1", "--dry-run"], ["review", "status"]
VALIDATE, ANNOTATE = ["validate", "exports/ytvis"], ["annotate", "status"]
STAGES = ["embed", "--untrained", "--dry-run"]

READ_BY: dict[str, tuple[list[str], ...]] = {
    "recipe": (STATUS, EXPORT),
    "storage": (["run", "--dry-run", "--untrained"],),
    "list": (["run", "--dry-run", "--untrained"],),
    "ledger": (STATUS, EXPORT, STAGES),
    "ledger as text": (),
    "manifest of videos": (EXPORT,),
    "manifest of clips": (EXPORT, REVIEW),
    "manifest of tracks": (EXPORT,),
    "sound": (),
    "two channels": (),
    "times": (),
    "embeddings": (),
    "embeddings of a clip": (),
    "table of fingerprints": (["duplicates"],),
    "fingerprint of a clip": (),
    "table of masks": (EXPORT,),
    "record of an import": (EXPORT,),
    "where clips were before a merge": (),
    "what was removed": (STATUS, ["fetch", "--dry-run"]),
    "unfinished removal": (),
    "export": (VALIDATE, ["stats", "exports/ytvis"]),
    "whose labels count": (EXPORT,),
    "id of the workspace on the server": (),
    "round": (REVIEW, EXPORT),
    "what was given to whom": (REVIEW,),
    "what a page was filled with": (),
    "annotation as received": (),
    "labels of a person": (REVIEW, ["review", "history", "zebra-clip-59"]),
    "repairs of labels": (["labels", "list", "zebra-clip-59"],),
    "which tasks were pulled": (),
    "first labels": (),
    "machine labels": (),
    "masks that machines made": (),
    "boxes that are being filled": (),
    "address of the server": (ANNOTATE,),
    "secrets of the server": (ANNOTATE,),
    "format of a run": (),
    "config of a run": (),
    "log of a run": (["report", "exports/ytvis", "--run", "runs/tiny", "--out", "page.html"],),
    "best weights": (),
    "state of a checkpoint": (),
    "checkpoint": (),
}
"""Kind to the commands that read it; the doctor reads them all. A kind without a row here fails."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = full_workspace(tmp_path_factory.mktemp("own") / "ds")
    for clip_id in CLIPS.values():
        write_json(workspace.clip_dir(clip_id) / "times.json", times_of(clip_id).model_dump(mode="json"))
    (workspace.fingerprints / "clips").mkdir()
    for one in read_fingerprints(workspace.fingerprints):
        write_clip_fingerprint(workspace.fingerprints / "clips" / f"{one.clip_id}.npz", one)
    run = RunFolder(workspace.root / "runs" / "tiny")
    run.write_config(load_config("avism_tiny"))
    state = RunState(iteration=1, train_sha256="0" * 64)
    write_json(run.checkpoint(1) / "state.json", state.model_dump())
    for name in ("best", "checkpoints/0000001/model"):
        (run.root / f"{name}.safetensors").write_bytes(EMPTY_SAFETENSORS)
    workspace.storage.write_text("storage: s3://our-data/ds\ncache_gb: 100\n")
    write_removal(workspace, Removal(new=(), exports=None))
    workspace.removal.rename(workspace.root.parent / "unfinished.json")  # put back for its own cases
    (workspace.removed / "tombstones.jsonl").write_text(TOMBSTONE)
    main(["-C", str(workspace.root), "doctor", "--workspace", "--repair"])
    return workspace.root


EMPTY_SAFETENSORS = (2).to_bytes(8, "little") + b"{}"
TOMBSTONE = json.dumps(
    {
        "video_sha256": "0" * 64,
        "clips_sha256": [],
        "urls_sha256": [],
        "files_sha256": [],
        "reason": "rights",
        "removed_on": "2026-01-01",
        "removed_by": "x",
    }
)


def times_of(clip_id: str) -> Times:
    stills = [StillTime(frame=number, asked_s=None, source_pts=None, source_s=None) for number in range(6)]
    return Times(
        clip_id=clip_id,
        video_id=clip_id,
        asked_start_s=0.0,
        asked_end_s=None,
        found_start_s=0.0,
        found_duration_s=6.0,
        num_seconds=6,
        fps=1.0,
        num_frames=6,
        frame_at=None,
        time_base=None,
        picture_form=None,
        stills=stills,
        sound=SoundState.COMPLETE,
        sound_track=None,
        num_sound_tracks=1,
        sound_start_s=None,
        sound_end_s=None,
        padded_samples=0,
        decoder="x",
    )


def kinds() -> dict[str, FileKind]:
    return {kind.name: kind for table in OWN_FILES for kind in table.kinds if kind.read is not not_read}


def file_of(root: Path, kind: FileKind) -> Path:
    if kind.name == "unfinished removal":
        return root / "removed" / "unfinished.json"
    found = [path for place in kind.places for path in sorted(root.glob(place))]
    assert found, f"the full workspace has no {kind.name}"
    return found[0] / "certificate.json" if kind.is_folder else found[0]


def test_every_kind_has_a_row() -> None:
    assert READ_BY.keys() == kinds().keys()


def test_every_place_of_a_workspace_is_of_a_kind() -> None:
    """The places that a video can be in, and the paths that the workspace names."""
    for place in PLACES:
        if place.holds in (Holds.UNFINISHED, Holds.SPLIT) or place.pattern.startswith((".", "*.csv", "annotations/**")):
            continue
        head = re.split(r"[*{]", place.pattern)[0]
        known = [name for kind in all_kinds() for name in kind.places]
        assert any(name.startswith(head) or head.startswith(name) for name in known), place.pattern
    workspace = Workspace(Path("/w"))
    for name, member in vars(Workspace).items():
        if isinstance(member, property) and name not in ("lock", "tmp"):
            place = getattr(workspace, name).relative_to(workspace.root).as_posix()
            assert any(known.startswith(place) for kind in all_kinds() for known in kind.places), place


def all_kinds() -> Iterator[FileKind]:
    return (kind for table in OWN_FILES for kind in table.kinds)


VALUES: tuple[object, ...] = (None, {}, [], "\ud800", "x", -1, 10**400, float("nan"), True, [[[[]]]], 1.5, "2026-13-45")
TEXTS = (
    b"",
    bytes(300),
    b"null",
    b"[]",
    b"{}",
    b'"x"',
    b"9" * 5000,
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"NaN",
    b"\xff\xfe\x00",
    b'{"a": "\\ud800"}',
    b'{"format": 99, "version": 99}',
    b"name: 2026-13-45\n",
    b"\xef\xbb\xbf{}\n{}\n",
)


def changed(value: object, chance: random.Random) -> object:
    """One place of a JSON value, however deep, holds something else."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(sorted(value))
        if chance.random() < 0.15:
            return {**value, "\ud800 unknown": 1}
        return {**value, name: changed(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.85:
        place = chance.randrange(len(value))
        return [*value[:place], changed(value[place], chance), *value[place + 1 :]]
    return chance.choice(VALUES)


def damage(path: Path, way: int, chance: random.Random) -> None:
    """Damage one file in the n-th way."""
    data = path.read_bytes()
    path.unlink()
    if way < len(TEXTS):
        path.write_bytes(TEXTS[way])
    elif way == len(TEXTS):
        path.mkdir()
    elif way == len(TEXTS) + 1:
        path.symlink_to("nowhere")
    elif way == len(TEXTS) + 2:
        path.write_bytes(data[: chance.randrange(len(data))])
    elif way == len(TEXTS) + 3:
        start = chance.randrange(len(data))
        path.write_bytes(data[:start] + chance.randbytes(20) + data[start + 20 :])
    else:
        path.write_bytes(of_other_types(data, chance))


def of_other_types(data: bytes, chance: random.Random) -> bytes:
    packed = data.startswith(b"\x1f\x8b")
    try:
        lines = (gzip.decompress(data) if packed else data).decode().splitlines()
        texts = lines if json_lines(lines) else ["\n".join(lines)]
        place = chance.randrange(len(texts))
        texts[place] = json.dumps(changed(json.loads(texts[place]), chance))
        found = ("\n".join(texts) + "\n").encode()
        return gzip.compress(found) if packed else found
    except ValueError:  # no JSON: its bytes are mixed
        return bytes(chance.sample(data, len(data)))


def json_lines(lines: list[str]) -> bool:
    try:
        return all(isinstance(json.loads(line), dict | list) for line in lines)
    except ValueError:
        return False


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Callable[[], Path]:
    def fresh() -> Path:
        root = tmp_path / "ds"
        shutil.rmtree(root, ignore_errors=True)
        return Path(shutil.copytree(whole, root, symlinks=True, copy_function=shutil.copy2))

    return fresh


@pytest.mark.parametrize("name", sorted(READ_BY))
def test_a_damaged_file_is_told_with_its_place(
    name: str,
    copy: Callable[[], Path],
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kind, root = kinds()[name], copy()
    if name == "unfinished removal":
        shutil.copyfile(whole.parent / "unfinished.json", root / "removed" / "unfinished.json")
    monkeypatch.chdir(root)
    path, workspace = file_of(root, kind), Workspace(root)
    data, mode = path.read_bytes(), path.stat().st_mode & 0o777
    bad = 0
    for way in range(WAYS):
        chance = random.Random(f"{name} {way}")
        damage(path, way, chance)
        if path.is_file():
            path.chmod(mode)
        relative = path.relative_to(root).as_posix()
        found = {file.path: file for file in examine_workspace(workspace)}
        file = found.get(relative) or found[str(Path(relative).parent)]
        if file.health is Health.DAMAGED:
            bad += 1
            assert file.problem and root.name in file.problem, (way, file)
            assert file.rebuild or file.advice, (way, file)
        capsys.readouterr()
        for command in READ_BY[name]:
            code = main(command)
            said = capsys.readouterr()
            assert code in (0, 2, 3, 4, 5), (way, command, code)
            assert "Traceback" not in said.err, (way, command, said.err)
            assert code not in (2, 3) or said.err.count("avis-data: ") or said.out, (way, command)
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        path.chmod(mode)
    assert bad >= 5, f"{name}: the doctor found only {bad} of {WAYS} damages"


@pytest.mark.parametrize("name", sorted(READ_BY.keys() - {"export", "unfinished removal", "ledger"}))
def test_what_the_reader_raises_is_ours(name: str, whole: Path, tmp_path: Path) -> None:
    """Other seeds, by the reader alone: bad input is an AvisError or passes, whatever the bytes."""
    kind = kinds()[name]
    source = file_of(whole, kind)
    root = tmp_path / "ds"
    path = root / source.relative_to(whole)
    path.parent.mkdir(parents=True)
    for seed in range(40):
        path.write_bytes(source.read_bytes())
        damage(path, len(TEXTS) + 2 + seed % 4, random.Random(f"{name} {seed}"))
        try:
            kind.read(Workspace(root), path)
        except AvisError as error:
            str(error).encode()
            assert path.name in str(error) or path.parent.name in str(error), seed


@NEEDS_SHARED
@pytest.mark.parametrize("name", sorted(path.name for path in (SHARED / "faults" / "runs").glob("*")) or ["none"])
def test_logs_of_runs_that_were_found(
    name: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copyfile(SHARED / "faults" / "runs" / name, tmp_path / "log.jsonl")
    code = main(
        ["report", str(whole / "exports" / "ytvis"), "--run", str(tmp_path), "--out", str(tmp_path / "page.html")]
    )
    assert code == 3 and "log.jsonl:" in capsys.readouterr().err


def test_a_setting_is_told_with_its_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`--set` takes YAML too: dates that are none, endless digits, endless nesting, values that do not go together."""
    for text in (
        "2026-13-45",
        "9" * 5000,
        "[" * 3000,
        "{a: " * 3000,
        "!!python/object:os.system x",
        ".nan",
        "[1]",
        "\x00",
    ):
        out = str(tmp_path / "run")
        code = main(
            ["train-baseline", "--config", "avism_tiny", "--data", ".", "--out", out, "--set", f"loop.seed={text}"]
        )
        said = capsys.readouterr().err
        assert code in (2, 3) and "loop.seed" in said and len(said) < 2000, (text[:20], code, said[:500])


@pytest.mark.parametrize(
    ("text", "told"),
    [("extract: {fps: 5}\n", "extract.fps"), ("categories: nonsense-9\n", "categories"), ("name: []\n", "name")],
)
def test_a_recipe_is_told_with_its_key(
    text: str, told: str, copy: Callable[[], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = copy()
    values = yaml.safe_load((root / "recipe.yaml").read_text()) | yaml.safe_load(text)
    (root / "recipe.yaml").write_text(yaml.safe_dump(values))
    assert main(["-C", str(root), "status"]) in (2, 3)
    said = capsys.readouterr().err
    assert told in said and "found {" not in said and len(said) < 1500
