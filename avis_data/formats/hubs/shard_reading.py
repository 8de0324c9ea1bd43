"""Tar files of webdataset read: found once by their headers, then clip by clip, without unpacking anything."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError, Problem
from avis_data.features.arrays import check_rows
from avis_data.formats.hubs.plain import FoundClip, npy_array
from avis_data.formats.sets.clips import LabelledClip, Media, UnreadClip
from avis_data.formats.sets.files import natural, opened_set
from avis_data.formats.sets.layout import PICTURES, split_of, unique_names

__all__ = ["has_tracks", "read_shards", "shard_files"]

_NAME = re.compile(r"((?:.*/|)[^./]+)\.([^/]*)", re.DOTALL)
"""Key and field of a member, as webdataset takes its name apart (tariterators.base_plus_ext)."""
_META = re.compile(r"__[^/]*__(/|$)")
"""Members that webdataset passes over."""
_SOUNDS = ("wav", "flac", "mp3", "ogg", "opus", "m4a", "aac")
_TRACKS = "tracks.json"
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""Half of a character, as JSON may have it; two halves are one."""
_LARGEST_JSON = 512 << 20
_LOOKED_AT = 2000
"""So many members of a file are looked at to see what it is."""
_DAMAGE = (tarfile.TarError, OSError, ValueError, OverflowError, EOFError, RecursionError, KeyError, TypeError)
"""What tarfile raises on files of strangers."""


@dataclass(frozen=True, kw_only=True)
class _Member:
    """One file in a shard."""

    key: str
    field: str
    begin: int
    """Where its header begins."""
    start: int
    """Where its bytes begin."""
    size: int


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """The members of one key that follow each other."""

    shard: Path
    folder: str | None
    """Of the shard in the set; None: it lies in none."""
    key: str
    begin: int
    end: int
    """Where the header of its last member begins."""


def shard_files(path: Path) -> list[Path]:
    """The tar files of a set: itself, or those in the folder, or in folders directly in it."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".tar" else []
    for pattern in ("*.tar", "*/*.tar"):
        found = sorted(file for file in path.glob(pattern) if file.is_file())
        if found:
            return found
    return []


def has_tracks(shard: Path) -> bool:
    """Whether one of the first members of a tar file is `<key>.tracks.json`."""
    try:
        for number, member in enumerate(_members(shard)):
            if member.field == _TRACKS:
                return True
            if number > _LOOKED_AT:
                break
    except DataError:
        pass
    return False


def read_shards(path: Path) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a tar file, or of a folder or archive of them, in the order of their names.

    Raises:
        DataError: if there is no such file, or none has samples.
    """
    with opened_set(path) as root:
        files = shard_files(root)
        if not files:
            raise DataError(f"{path}: holds no tar file", hint="a folder with <split>-000000.tar; unpack .tar.gz first")
        samples: list[_Sample] = []
        torn: list[UnreadClip] = []
        for file in files:
            try:
                samples += _samples(file, file.parent.name if file.parent not in (root, root.parent) else None)
            except _TornError as error:
                samples += error.samples
                torn.append(UnreadClip(name=file.name, problems=(Problem(str(file), "", str(error)),)))
        if not samples:
            told = f": {torn[0].problems[0].message}" if torn else ""
            raise DataError(f"{path}: no sample in {len(files)} tar file(s){told}", hint="members <clip>.tracks.json")
        yield from torn
        counts = Counter(sample.key for sample in samples)
        names = dict(zip(counts, _clip_names(list(counts)), strict=True))
        for sample in sorted(samples, key=lambda sample: (names[sample.key], str(sample.shard), sample.begin)):
            name = names[sample.key]
            where = f"{sample.shard}: {sample.key}"
            if counts[sample.key] > 1:
                message = f"its members are in {counts[sample.key]} places of the set; they must follow each other"
                yield UnreadClip(name=name, problems=(Problem(where, "", message),))
                continue
            try:
                yield _clip(sample, name, where)
            except DataError as error:
                yield UnreadClip(name=name, problems=(Problem(where, "", str(error)),))


def _clip_names(keys: list[str]) -> list[str]:
    """The names of clips, by the keys of their samples, as `shard_writing.key_of` made these."""
    short = unique_names([PurePosixPath(key) for key in keys])
    return [(name or "").replace("%2E", ".").replace("%25", "%") for name in short]


class _TornError(Exception):
    """A tar file that ends too early."""

    def __init__(self, message: str, samples: list[_Sample]) -> None:
        super().__init__(message)
        self.samples = samples


def _samples(shard: Path, folder: str | None) -> list[_Sample]:
    """All samples of a tar file. Raises _TornError with those that are whole, if it is damaged."""
    found: list[_Sample] = []
    last: _Member | None = None
    begin = 0
    try:
        for member in _members(shard):
            if last is None or member.key != last.key:
                if last is not None:
                    found.append(_Sample(shard=shard, folder=folder, key=last.key, begin=begin, end=last.begin))
                begin = member.begin
            last = member
    except DataError as error:
        told = f", in or after clip {last.key}" if last is not None else ""
        raise _TornError(f"{error}{told}; clips from there on are missing", found) from None
    if last is not None:
        found.append(_Sample(shard=shard, folder=folder, key=last.key, begin=begin, end=last.begin))
    return found


def _members(shard: Path, begin: int = 0, end: int | None = None) -> Iterator[_Member]:
    """The members of a tar file, from one header to another.

    Raises:
        DataError: if it is no tar file, or is damaged.
    """
    try:
        size = shard.stat().st_size
        with shard.open("rb") as file:
            file.seek(begin)
            with tarfile.open(fileobj=file, mode="r:") as archive:
                before = begin - 1
                while (member := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]  # unknown to typeshed; would keep all headers
                    if member.offset <= before or member.size < 0 or member.sparse is not None:
                        raise tarfile.ReadError(f"the header at byte {member.offset} cannot be")
                    if member.isreg() and member.offset_data + member.size > size:
                        raise tarfile.ReadError("cut off")
                    before = member.offset
                    if (taken := _taken(member)) is not None:
                        yield taken
                    if end is not None and member.offset >= end:
                        return
                _check_end(file, archive.offset)
    except _DAMAGE as error:
        raise DataError(f"no tar file, or damaged ({error!s:.200})", hint="get it again; unpack .tar.gz") from None


def _check_end(file: io.BufferedReader, place: int) -> None:
    """tarfile takes anything but a header for the end; the real one is a block of zeros, or the end of the file."""
    file.seek(place)
    block = file.read(tarfile.BLOCKSIZE)
    if block.strip(b"\0"):
        raise tarfile.ReadError(f"no header at byte {place}")


def _taken(member: tarfile.TarInfo) -> _Member | None:
    """A member of a sample; None: webdataset passes over it too."""
    name = member.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    found = _NAME.fullmatch(name)
    if not member.isreg() or found is None or _META.match(name):
        return None
    return _Member(
        key=found[1],
        field=found[2].lower(),
        begin=member.offset,
        start=member.offset_data,
        size=member.size,
    )


def _clip(sample: _Sample, name: str, where: str) -> LabelledClip | UnreadClip:
    members: dict[str, _Member] = {}
    problems: list[Problem] = []
    for member in _members(sample.shard, sample.begin, sample.end):
        if member.field in members:
            problems.append(Problem(where, member.field, "is there twice"))
        members[member.field] = member
    said: dict[str, object] = {"json": {}, _TRACKS: []}
    for field in said:
        try:
            if field in members:
                said[field] = _value(sample.shard, members[field])
            elif field == _TRACKS:
                raise DataError("the sample has no such member")
        except DataError as error:
            problems.append(Problem(where, field, str(error)))
    facts = said["json"]
    if not isinstance(facts, dict):
        problems.append(Problem(where, "json", f"must be an object (found {facts!r:.60})"))
        facts = {}
    sound = next((members[ending] for ending in _SOUNDS if ending in members), None)
    embeddings = members.get("embeddings.npy")
    found = FoundClip(
        name=name,
        where=where,
        facts=facts,
        stills=facts.get("stills"),
        pictures=_pictures(sample.shard, members, facts.get("stills")),
        tracks=said[_TRACKS],
        split=split_of(sample.shard.stem) or (None if sample.folder is None else split_of(sample.folder)),
        sound=_media(sample.shard, sound) if sound is not None else None,
        embeddings_TD=partial(_embeddings, sample.shard, embeddings) if embeddings is not None else None,
        problems=problems,
    )
    return found.result()


def _pictures(shard: Path, members: dict[str, _Member], said: object) -> list[Media | None]:
    """The pictures in the order of their numbers; where stills are described, each in its place, as we write it."""
    names = sorted((name for name in members if name.endswith(PICTURES)), key=natural)
    if not isinstance(said, list):
        return [_media(shard, members[name]) for name in names]
    by_place = {int(stem): name for name in names if re.fullmatch(r"\d{5,9}", stem := name.partition(".")[0])}
    if len(by_place) < len(names) or not set(by_place) <= set(range(len(said))):
        return [_media(shard, members[name]) for name in names]
    return [_media(shard, members[by_place[n]]) if n in by_place else None for n in range(len(said))]


def _media(shard: Path, member: _Member) -> Media:
    return Media(name=member.field, load=partial(_bytes, shard, member))


def _bytes(shard: Path, member: _Member) -> bytes:
    try:
        with shard.open("rb") as file:
            file.seek(member.start)
            data = file.read(member.size)
    except OSError as error:
        raise DataError(f"{shard}: cannot be read ({error.strerror})") from None
    if len(data) < member.size:
        raise DataError(f"{shard}: cut off in {member.key}.{member.field}")
    return data


def _value(shard: Path, member: _Member) -> object:
    if member.size > _LARGEST_JSON:
        raise DataError(f"has {member.size >> 20} MiB, too many for JSON")
    try:
        data = _bytes(shard, member)
        found: object = json.loads(data.decode("utf-8"))
        if _HALF.search(data):
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:  # also bad UTF-8, half a character, endless digits
        raise DataError(f"not JSON ({error!s:.100})") from None
    return found


def _embeddings(shard: Path, member: _Member) -> NDArray[np.float32]:
    """float32 (T, D)."""
    where = f"{shard}: {member.key}.{member.field}"
    try:
        found = npy_array(_bytes(shard, member))
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    check_rows(found, what=where)
    return np.asarray(found, np.float32)
