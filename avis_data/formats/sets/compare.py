"""What of a clip a format keeps, and whether that is what was read back: for exports, conversions and round trips."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from avis_data.formats.sets.clips import LabelledClip, LabelledTrack
from avis_data.formats.sets.overlap import painted_tracks
from avis_data.formats.sets.spec import SetSpec
from avis_data.masks.rle import Rle, box, decode, encode

__all__ = ["differences", "kept"]


def kept(clip: LabelledClip, spec: SetSpec) -> LabelledClip:
    """What comes back of a clip when the files of a format are read: it says what is lost, by leaving it out."""
    if spec.expected is not None:
        return spec.expected(clip, spec)
    keeps = spec.keeps
    tracks = list(clip.tracks)
    if keeps.sounding == "sounding only":
        tracks = [_heard_only(track) for track in tracks]
    if keeps.masks == "painted":
        tracks = painted_tracks(clip, tracks)
    elif keeps.masks == "boxes":
        tracks = [replace(track, masks=tuple(mask and _boxed(mask) for mask in track.masks)) for track in tracks]
    elif keeps.masks == "union":
        tracks = _united(tracks)
    if keeps.sounding == "no":
        tracks = [replace(track, sounding=(None,) * len(track.masks)) for track in tracks]
    if not keeps.category:
        tracks = [replace(track, category=None) for track in tracks]
    if not keeps.empty_tracks:
        tracks = [track for track in tracks if track.frames]
    return replace(
        clip,
        tracks=tuple(tracks),
        has_identity=keeps.identity and clip.has_identity,
        split=clip.split if keeps.split else None,
        sound=clip.sound if keeps.sound else None,
        embeddings_TD=clip.embeddings_TD if keeps.embeddings else None,
        fps=clip.fps if keeps.fps else None,
        license=clip.license if keeps.license else None,
        source=clip.source if keeps.source else None,
    )


def differences(found: LabelledClip, expected: LabelledClip, spec: SetSpec) -> Iterator[str]:
    """How a clip that was read back differs from what was to come back, in words; nothing: it does not.

    Names of tracks need not be the same where the format has its own: then tracks are matched by their masks.
    """
    for name in ("width", "height", "has_truth", "split", "fps", "license", "source"):
        was = getattr(expected, name)
        if was is not None and getattr(found, name) != was:
            yield f"{name} is {getattr(found, name)}, was {was}"
    if len(found.stills) != len(expected.stills):
        yield f"{len(found.stills)} stills, were {len(expected.stills)}"
        return
    missing = _said(expected) - _said(found)
    added = _said(found) - _said(expected)
    if missing or added:
        yield f"{len(missing)} masks differ of {sum(len(track.frames) for track in expected.tracks)}"
    if spec.keeps.identity and _partition(found) != _partition(expected):
        yield "masks are joined to other objects"
    if spec.keeps.stills:
        yield from _other_stills(found, expected)
    if spec.keeps.sound and expected.sound is not None:
        if found.sound is None or found.sound.read() != expected.sound.read():
            yield "the sound is not what was written"
    if spec.keeps.embeddings and expected.embeddings_TD is not None:
        if found.embeddings_TD is None or not np.array_equal(found.embeddings_TD(), expected.embeddings_TD()):
            yield "the embeddings are not what was written"
    if spec.keeps.masks in ("no", "boxes") and _names(found) != _names(expected):
        yield "other times"


def _names(clip: LabelledClip) -> list[str]:
    """Of the stills: in formats that have times only, these are their times."""
    return [still.name for still in clip.stills]


def _heard_only(track: LabelledTrack) -> LabelledTrack:
    masks = tuple(mask if flag else None for mask, flag in zip(track.masks, track.sounding, strict=True))
    return replace(track, masks=masks, sounding=tuple(None if mask is None else True for mask in masks))


def _united(tracks: Sequence[LabelledTrack]) -> list[LabelledTrack]:
    """One track for each category."""
    by_category: dict[str | None, list[LabelledTrack]] = defaultdict(list)
    for track in tracks:
        by_category[track.category].append(track)
    united = []
    for category, group in sorted(by_category.items(), key=lambda entry: str(entry[0])):
        masks = [_union(stack) for stack in zip(*(track.masks for track in group), strict=True)]
        sounding = tuple(None if mask is None else True for mask in masks)
        united.append(LabelledTrack(track_id=str(category), category=category, masks=tuple(masks), sounding=sounding))
    return united


def _union(masks: Sequence[Rle | None]) -> Rle | None:
    there = [decode(mask) for mask in masks if mask is not None]
    return encode(np.logical_or.reduce(there)) if there else None


def _boxed(mask: Rle) -> Rle:
    x, y, width, height = box(mask)
    inside_HW = np.zeros((mask.height, mask.width), bool)
    inside_HW[y : y + height, x : x + width] = True
    return encode(inside_HW)


_Said = tuple[object, ...]


def _said(clip: LabelledClip) -> set[_Said]:
    """One entry for each mask: where, which pixels, category, sounding."""
    return {
        (number, _pixels(mask), track.category, track.sounding[number])
        for track in clip.tracks
        for number, mask in enumerate(track.masks)
        if mask is not None
    }


def _partition(clip: LabelledClip) -> list[list[_Said]]:
    """The masks of each track, without its name."""
    tracks = [
        sorted((number, _pixels(mask)) for number, mask in enumerate(track.masks) if mask is not None)
        for track in clip.tracks
    ]
    return sorted([list(track) for track in tracks if track])


def _pixels(mask: Rle) -> bytes:
    return np.packbits(decode(mask)).tobytes()


def _other_stills(found: LabelledClip, expected: LabelledClip) -> Iterator[str]:
    for number, (here, there) in enumerate(zip(found.stills, expected.stills, strict=True)):
        if there.picture is not None and (here.picture is None or here.picture.read() != there.picture.read()):
            yield f"still {number} is not the picture that was written"
