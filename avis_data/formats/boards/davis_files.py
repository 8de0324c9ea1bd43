"""DAVIS, YouTube-VOS and sets like them: values of indexed pictures are objects, `meta.json` says of what kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from avis_data.errors import DataError, Problem
from avis_data.formats.aviseg_folders import STILLS
from avis_data.formats.avsbench_masks import classes_of_colours, voc_colours
from avis_data.formats.boards.gathering import Gathered
from avis_data.formats.sets.clips import LabelledClip, Media, Still, UnreadClip
from avis_data.formats.sets.files import numbered, opened_set, picture_pixels, picture_size
from avis_data.formats.sets.layout import UNKNOWN, pictures_in, put_still, split_of, unique_names
from avis_data.formats.sets.overlap import painted
from avis_data.formats.sets.spec import Clips
from avis_data.io import read_json, write_json, write_lines
from avis_data.masks.rle import encode

__all__ = ["find_annotations", "read_davis", "write_clip", "write_shared"]

_VOID = 255
_RESOLUTIONS = ("480p", "1080p", "Full-Resolution")


def find_annotations(root: Path) -> list[Path]:
    """The folders whose folders are sequences: `Annotations`, or that of one resolution in it."""
    tops = [path for path in sorted(root.rglob("Annotations")) if path.is_dir()]
    tops += [root] if root.name == "Annotations" else []
    return [next((top / name for name in _RESOLUTIONS if (top / name).is_dir()), top) for top in tops]


def read_davis(path: Path) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a folder or archive, in the order of their names.

    Raises:
        DataError: if there is no folder `Annotations` with pictures in it.
    """
    with opened_set(path) as root:
        found = [
            (top, name)
            for top in find_annotations(root)
            for name in sorted({folder.name for place in (top, _stills_of(top)) for folder in _folders(place)})
        ]
        if not found:
            raise DataError(f"{path}: holds no DAVIS set: no folder Annotations with folders of PNG")
        splits = _listed_splits(root)
        places = [PurePosixPath((top / name).relative_to(root.parent).as_posix()) for top, name in found]
        places = [
            PurePosixPath(*(p for p in place.parts if p not in ("Annotations", *_RESOLUTIONS))) for place in places
        ]
        named = sorted(zip(map(str, unique_names(places)), found, strict=True))
        metas: dict[Path, Mapping[str, object]] = {}
        broken: dict[Path, DataError] = {}
        for top in {top for top, _ in found}:
            try:
                metas[top] = _meta(top, root)
            except DataError as error:
                broken[top] = error
        if broken and not metas:
            raise next(iter(broken.values()))
        for name, (top, folder) in named:
            if top in broken:
                yield UnreadClip(name=name, problems=(Problem("", "", str(broken[top].args[0])),))
                continue
            above = split_of("/".join(top.relative_to(root).parts)) if top != root else None
            yield _clip(name, top, folder, splits.get(folder) or above, metas[top])


def _folders(place: Path) -> list[Path]:
    return [folder for folder in place.iterdir() if folder.is_dir()] if place.is_dir() else []


def _stills_of(top: Path) -> Path:
    """Where the stills of the sequences are."""
    parts = [STILLS if part == "Annotations" else part for part in top.parts]
    return Path(*parts)


def _listed_splits(root: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(root.glob("ImageSets/*/*.txt")):
        split = split_of(file.stem)
        if split is not None:
            text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
            found |= dict.fromkeys(text.split(), split)
    return found


def _meta(top: Path, root: Path) -> Mapping[str, object]:
    """`videos` of the nearest `meta.json`; nothing where there is none."""
    for folder in top.parents:
        file = folder / "meta.json"
        if file.is_file():
            raw = read_json(file)
            videos = raw.get("videos") if isinstance(raw, dict) else None
            if not isinstance(videos, dict):
                raise DataError(f"{file}: must be an object with videos")
            return videos
        if folder == root:
            break
    return {}


def _clip(
    name: str, top: Path, folder: str, split: str | None, meta: Mapping[str, object]
) -> LabelledClip | UnreadClip:
    masks = {file.stem: file for file in pictures_in(top / folder, (".png",))}
    is_single = _is_single(list(masks.values()))
    pictures = {file.stem: file for file in pictures_in(_stills_of(top) / folder)}
    stems = sorted(masks.keys() | pictures.keys(), key=lambda stem: (numbered(stem) or 0, stem))
    gathered = Gathered(num_stills=len(stems))
    objects = _objects(meta.get(folder), folder, gathered)
    size: tuple[int, ...] | None = None
    for place, stem in enumerate(stems):
        for file in (masks.get(stem), pictures.get(stem)):
            if file is None:
                continue
            try:
                if file.suffix == ".png" and file == masks.get(stem):
                    values_HW = _values(file)
                    if is_single:
                        values_HW = (values_HW == _VOID).astype(np.int64)
                    shape = values_HW.shape
                    _add(gathered, values_HW, place, objects, str(file))
                else:
                    width, height = picture_size(Media(name=file.name, path=file))
                    shape = (height, width)
            except DataError as error:
                gathered.problem(str(file), "", str(error).removeprefix(f"{file}: "))
                continue
            size = size or shape
            if shape != size:
                told = f"{shape[1]} x {shape[0]} pixels, what came before has {size[1]} x {size[0]}"
                gathered.problem(str(file), "", told)
    for number, (track_id, category) in objects.items():
        gathered.track(track_id, category, f"meta.json: {folder}: {number}")
    if size is None and not gathered.problems:
        gathered.problem(str(top / folder), "", "holds no picture")
    if gathered.problems or size is None:
        return UnreadClip(name=name, problems=tuple(gathered.problems))
    return LabelledClip(
        name=name,
        height=size[0],
        width=size[1],
        stills=tuple(
            Still(
                name=stem,
                number=numbered(stem),
                picture=Media(name=pictures[stem].name, path=pictures[stem]) if stem in pictures else None,
                is_labelled=stem in masks,
            )
            for stem in stems
        ),
        tracks=tuple(track for track in gathered.tracks() if track.frames),
        has_truth=bool(masks),
        split=split,
        label_files=tuple(masks.values()),
        remarks=(*([_SINGLE] if is_single else []), *_mismatches(meta.get(folder), gathered, objects, stems)),
    )


_SINGLE = "its pictures have no values but 0 and 255, as DAVIS 2016 has: 255 is the one object"


def _is_single(files: Sequence[Path]) -> bool:
    """Whether 255 is an object and not a region to ignore: where it stands without any object beside it."""
    found: set[int] = set()
    for file in files:
        try:
            found |= set(np.unique(_values(file)).tolist())
        except DataError:
            continue
        if found - {0, _VOID}:
            return False
    return _VOID in found


def _objects(said: object, folder: str, gathered: Gathered) -> dict[int, tuple[str, str | None]]:
    """Id here and category of each object that `meta.json` speaks of."""
    objects = said.get("objects") if isinstance(said, dict) else {}
    if not isinstance(objects, dict) or (said is not None and not isinstance(said, dict)):
        gathered.problem(f"meta.json: {folder}", "objects", "must be an object")
        return {}
    found: dict[int, tuple[str, str | None]] = {}
    for key, entry in objects.items():
        if not key.isdecimal() or len(key) > 5 or not isinstance(entry, dict):
            gathered.problem(f"meta.json: {folder}", key[:40], "must be the number of an object, with its category")
            continue
        category, track_id = entry.get("category"), entry.get("track_id")
        named = category if isinstance(category, str) and category not in ("", UNKNOWN) else None
        found[int(key)] = (track_id if isinstance(track_id, str) and track_id else str(int(key)), named)
    return found


def _values(file: Path) -> np.ndarray:
    """The object of each pixel, (H, W); colours go through the map of PASCAL VOC."""
    values = picture_pixels(file, modes=("P", "L", "1", "RGB", "RGBA", "I;16"))
    if values.ndim == 2:
        return values.astype(np.int64)
    colours = values[..., :3]
    numbers: np.ndarray = classes_of_colours(colours[None], 256)[0]
    if ((numbers == 0) & colours.any(axis=-1)).any():
        raise DataError("is a colour picture with colours that are none of PASCAL VOC's map")
    return numbers


def _add(
    gathered: Gathered, values_HW: np.ndarray, place: int, objects: Mapping[int, tuple[str, str | None]], where: str
) -> None:
    for value in np.unique(values_HW).tolist():
        if value not in (0, _VOID):
            track_id, category = objects.get(value, (str(value), None))
            gathered.add(track_id, place, encode(values_HW == value), category=category, where=where)


def _mismatches(
    said: object, gathered: Gathered, objects: Mapping[int, tuple[str, str | None]], stems: list[str]
) -> Iterator[str]:
    """Where `frames` of `meta.json` and the pixels do not say the same; the pixels win."""
    listed = said.get("objects") if isinstance(said, dict) else None
    tracks = {track.track_id: track for track in gathered.tracks()}
    for number, (track_id, _) in objects.items():
        entry = listed.get(str(number)) if isinstance(listed, dict) else None
        frames = entry.get("frames") if isinstance(entry, dict) else None
        if isinstance(frames, list) and all(isinstance(frame, str) for frame in frames):
            there = {stems[place] for place in tracks[track_id].frames}
            if there != set(frames) & set(stems):
                yield f"object {number}: meta.json lists other frames than those with pixels; the pixels count"


def write_clip(folder: Path, clip: LabelledClip) -> list[str]:
    """`Annotations/480p/<clip>/00000.png` and the stills; gives their paths."""
    places = ((still, f"{STILLS}/480p/{clip.name}/{place:05d}") for place, still in enumerate(clip.stills))
    names = [name for still, place in places for name in put_still(still, folder, place)]
    if not clip.has_truth:
        return names
    (folder / "Annotations" / "480p" / clip.name).mkdir(parents=True, exist_ok=True)
    colours = voc_colours(256).astype(np.uint8).tobytes()
    for place in range(len(clip.stills)):
        stack = [track.masks[place] for track in clip.tracks]
        picture_HW, _ = painted(stack, height=clip.height, width=clip.width)
        picture = Image.fromarray(picture_HW.astype(np.uint8))
        picture.putpalette(colours)
        name = f"Annotations/480p/{clip.name}/{place:05d}.png"
        picture.save(folder / name)
        names.append(name)
    return names


def write_shared(folder: Path, clips: Clips) -> list[str]:
    """`ImageSets/2017/<split>.txt` and `meta.json`; gives their paths."""
    splits: dict[str, list[str]] = {}
    videos: dict[str, object] = {}
    for clip in clips():
        splits.setdefault(clip.split or "all", []).append(clip.name)
        videos[clip.name] = {
            "objects": {
                str(number): {
                    **({} if track.category is None else {"category": track.category}),
                    "frames": [f"{place:05d}" for place in track.frames],
                    "track_id": track.track_id,
                }
                for number, track in enumerate(clip.tracks, start=1)
            }
        }
    for split, names in splits.items():
        write_lines(folder / "ImageSets" / "2017" / f"{split}.txt", names)
    write_json(folder / "meta.json", {"videos": videos}, indent=None)
    return [*(f"ImageSets/2017/{split}.txt" for split in splits), "meta.json"]
