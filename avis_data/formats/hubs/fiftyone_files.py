"""FiftyOne's files: COCO with sound and our script written and read, samples.json of FiftyOne's own folder read."""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from avis_data.errors import DataError, Problem
from avis_data.formats.boards.coco import COCO
from avis_data.formats.boards.coco_files import read_coco
from avis_data.formats.boards.coco_writing import write_coco
from avis_data.formats.boards.gathering import Gathered, flag_of
from avis_data.formats.hubs.about import About
from avis_data.formats.hubs.card import CardForm, LicenseTable, write_card
from avis_data.formats.hubs.fiftyone import FOLDER, LOADER, SAMPLES
from avis_data.formats.hubs.plain import npy_array
from avis_data.formats.hubs.statements import Counted
from avis_data.formats.sets.clips import LabelledClip, Media, Still, UnreadClip
from avis_data.formats.sets.files import natural, numbered, opened_set, picture_pixels, picture_size
from avis_data.formats.sets.layout import clip_of_name, foreign_path, picture_file, set_name, split_of
from avis_data.formats.sets.spec import Clips, SetFacts
from avis_data.io import read_json, write_bytes
from avis_data.masks.rle import Rle, check_size, encode

__all__ = ["read_fiftyone", "write_fiftyone", "write_media"]

_FORM = CardForm(
    files="images/{split}/**",
    has_embeddings=False,
    load="""
import sys

sys.path.append("FOLDER")  # pip install fiftyone pycocotools
from load_fiftyone import load

dataset = load("FOLDER", "NAME")        # FiftyOne keeps it; or: python load_fiftyone.py --name NAME --open
clips = dataset.load_saved_view("clips")  # the stills of each clip in their order
still = dataset.match_tags({split!r}).first()
still.objects.detections                # each with label, mask, track_id, instance, sounding
still.sound                             # the WAV file of its clip
""",
)
_OBJECTS = ("objects", "ground_truth")
"""Fields that are taken where several hold masks."""
_ORDER = ("still", "second", "frame_id", "frame_number", "frame_index")
_HEAD_BYTES = 4096
"""No head of an array is longer."""


def write_media(folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
    """Write the stills and the sound of a clip; gives their names."""
    assert COCO.writer is not None
    names = COCO.writer.write_clip(folder, clip, facts)
    if clip.sound is None:
        return names
    name = _sound_name(clip)
    clip.sound.put(folder / name)
    return [*names, name]


def _sound_name(clip: LabelledClip) -> str:
    return f"sound/{clip.split or 'all'}/{clip.name}.wav"


def write_fiftyone(folder: Path, clips: Clips, facts: SetFacts, *, about: About) -> list[str]:
    """Write the COCO files, the script, the card and the table of licences; gives their names."""
    said = about.agreement_text()
    counted, licenses = Counted(), LicenseTable()

    def counting() -> Iterator[LabelledClip]:
        for clip in counted.over(clips):
            licenses.add(clip)
            yield clip

    names = write_coco(folder, counting, facts)
    write_bytes(folder / LOADER, Path(__file__).with_name("fiftyone_loader.py").read_bytes())
    names += write_card(folder, facts, counted, _FORM, contact=about.contact, agreement=said)
    return [*names, LOADER, *licenses.write(folder)]


def read_fiftyone(path: Path, label_field: str | None) -> Iterator[LabelledClip | UnreadClip]:
    """The clips of a set of ours, or of FiftyOne's own folder, in the order of their names.

    Raises:
        DataError: if it is neither; also ProblemsError.
    """
    with opened_set(path) as root:
        samples = root if root.is_file() else root / SAMPLES
        if not samples.is_file() and (root / FOLDER).is_dir():
            samples = root / FOLDER
        if samples.name in (SAMPLES, FOLDER) and samples.exists():
            yield from _Samples.read(samples, path, label_field)
            return
        for clip in read_coco(root):
            if isinstance(clip, LabelledClip):
                sound = root / _sound_name(clip)
                clip = replace(clip, sound=Media(name=sound.name, path=sound) if sound.is_file() else None)
            yield clip


_Entry = Mapping[str, object]


@dataclass(kw_only=True)
class _Samples:
    """FiftyOne's samples, put together into clips."""

    file: Path
    label_field: str | None
    clips: dict[str, list[tuple[str, _Entry]]] = field(default_factory=lambda: defaultdict(list))
    """Place in the file and sample, by clip."""
    orphans: list[Problem] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path, given: Path, label_field: str | None) -> Iterator[LabelledClip | UnreadClip]:
        found = cls(file=file, label_field=label_field)
        only = set_name(given if given.is_dir() else given.parent)
        if file.is_dir():
            found._sort_in_files(only)
        else:
            said = read_json(file)
            samples = said.get("samples") if isinstance(said, dict) else None
            if not isinstance(samples, list):
                raise DataError(f"{file}: is none of FiftyOne: samples must be a list")
            for place, sample in enumerate(samples):
                found._sort_in(f"samples[{place}]", sample, only)
        if found.orphans:
            yield UnreadClip(name=file.name, problems=tuple(found.orphans))
        for name in sorted(found.clips):
            yield _Reading(samples=found, name=name, entries=found.clips[name]).result()

    def _sort_in_files(self, only: str) -> None:
        """A file for each sample, as FiftyOne's exporter writes them when it is asked for folders."""
        for file in sorted(self.file.glob("*.json")):
            try:
                self._sort_in(file.name, read_json(file), only)
            except DataError as error:
                self.orphans.append(Problem(str(file), "", str(error)))

    def _sort_in(self, where: str, sample: object, only: str) -> None:
        if not isinstance(sample, dict):
            self.orphans.append(Problem(f"{self.file}: {where}", "", f"must be an object (found {sample!r:.40})"))
            return
        path = sample.get("filepath")
        try:
            if sample.get("_media_type") not in (None, "image"):
                raise DataError(f"is a sample of {sample['_media_type']!r:.40}; only images are read")
            if not isinstance(path, str):
                raise DataError(f"filepath must be text (found {path!r:.40})")
            inside = foreign_path(path)
        except DataError as error:
            self.orphans.append(Problem(f"{self.file}: {where}", "", str(error)))
            return
        said = sample.get("clip")
        inside = PurePosixPath(*[part for part in inside.parts if part != "data"])
        name = said if isinstance(said, str) and said else clip_of_name(inside) or only
        self.clips[name].append((where, sample))


@dataclass(kw_only=True)
class _Reading:
    """One clip while it is read."""

    samples: _Samples
    name: str
    entries: list[tuple[str, _Entry]]

    def __post_init__(self) -> None:
        self.gathered = Gathered(num_stills=len(self.entries))
        self.num_unnamed = self.num_masks = self.num_moved = 0

    def result(self) -> LabelledClip | UnreadClip:
        """The clip, or all that is wrong with it."""
        key = self._in_order()
        stills = [self._still(where, sample, key) for where, sample in self.entries]
        size = self._size(stills)
        for place, (where, sample) in enumerate(self.entries):
            if size is not None:
                self._objects(where, sample, place, size)
        gathered = self.gathered
        if gathered.problems or size is None:
            return UnreadClip(name=self.name, problems=tuple(gathered.problems))
        if 0 < self.num_unnamed < self.num_masks:
            gathered.remarks.append(f"{self.num_unnamed} masks without identity are objects of one still each")
        if self.num_moved:
            gathered.remarks.append(f"{self.num_moved} masks are a pixel larger or smaller than their boxes")
        lists = [tags for _, sample in self.entries if isinstance(tags := sample.get("tags"), list)]
        tags = [tag for listed in lists for tag in listed if isinstance(tag, str)]
        first = self.entries[0][1]
        return LabelledClip(
            name=self.name,
            height=size[0],
            width=size[1],
            stills=tuple(stills),
            tracks=gathered.tracks(),
            has_identity=self.num_unnamed < self.num_masks or not self.num_masks,
            fps=_number(first.get("fps")),
            split=next((split for tag in tags if (split := split_of(tag)) is not None), None),
            license=_text(first.get("license")),
            source=_text(first.get("source")),
            label_files=self._files(),
            remarks=tuple(gathered.remarks),
        )

    def _problem(self, where: str, name: str, message: str) -> None:
        self.gathered.problem(f"{self.samples.file}: {where}", name, message)

    def _files(self) -> tuple[Path, ...]:
        file = self.samples.file
        return tuple(file / where for where, _ in self.entries) if file.is_dir() else (file,)

    def _in_order(self) -> str | None:
        """Bring the samples into the order of time; gives the field that says it, None: their names do."""
        key = next(
            (key for key in _ORDER if all(_number(sample.get(key)) is not None for _, sample in self.entries)), None
        )
        if key is None:
            self.entries.sort(key=lambda entry: natural(str(entry[1]["filepath"])))
        else:
            self.entries.sort(key=lambda entry: _number(entry[1].get(key)) or 0.0)
        return key

    def _still(self, where: str, sample: _Entry, key: str | None) -> Still:
        inside = foreign_path(str(sample["filepath"]))
        folder = self.samples.file.parent
        picture = picture_file((folder, folder / "data"), inside)
        if picture is None:
            self._problem(where, "filepath", f"the set has no picture {inside.as_posix():.100}")
        said = sample.get(key) if key is not None and key != "second" else None
        number = said if type(said) is int else numbered(inside.stem)
        return Still(
            name=inside.stem,
            number=number,
            time_s=_number(sample.get("second")),
            picture=picture,
            is_labelled=any(isinstance(value, dict) and value.get("_cls") == "Detections" for value in sample.values()),
        )

    def _size(self, stills: list[Still]) -> tuple[int, int] | None:
        """Height and width, of the pictures themselves; None, with what is wrong, where there is not one size."""
        sizes: dict[tuple[int, int], str] = {}
        for (where, _), still in zip(self.entries, stills, strict=True):
            if still.picture is None:
                continue
            try:
                width, height = picture_size(still.picture)
                check_size(height, width)
                sizes.setdefault((height, width), where)
            except DataError as error:
                self._problem(where, "filepath", str(error))
        if len(sizes) > 1:
            said = " and ".join(f"{width} x {height} ({where})" for (height, width), where in sizes.items())
            self._problem(self.name, "", f"the stills of a clip must have one size, these have {said}")
        return next(iter(sizes)) if len(sizes) == 1 else None

    def _objects(self, where: str, sample: _Entry, place: int, size: tuple[int, int]) -> None:
        """The objects of one still."""
        fields = {name: value for name, value in sample.items() if isinstance(value, dict) and "detections" in value}
        wanted = self.samples.label_field
        if wanted is not None:
            chosen = wanted if wanted in fields else None
        else:
            chosen = next((name for name in _OBJECTS if name in fields), None)
            chosen = next(iter(fields)) if chosen is None and len(fields) == 1 else chosen
            if chosen is None and fields:
                self._problem(where, "", f"has objects in {', '.join(sorted(fields))}: say which, --label-field NAME")
        if chosen is None:
            return
        detections = fields[chosen].get("detections")
        if not isinstance(detections, list):
            self._problem(where, f"{chosen}.detections", f"must be a list (found {detections!r:.40})")
            return
        for number, entry in enumerate(detections):
            inside = f"{where}.{chosen}.detections[{number}]"
            try:
                self._object(inside, entry, place, size)
            except DataError as error:
                self._problem(inside, "", str(error))

    def _object(self, where: str, entry: object, place: int, size: tuple[int, int]) -> None:
        if not isinstance(entry, dict):
            raise DataError(f"must be an object (found {entry!r:.40})")
        label = entry.get("label")
        if label is not None and not isinstance(label, str):
            raise DataError(f"label must be text (found {label!r:.40})")
        said = entry.get("sounding")
        attributes = entry.get("attributes")
        if said is None and isinstance(attributes, dict):
            said = attributes.get("sounding")
        rle = self._mask(entry, size)
        self.num_masks += 1
        track_id = _identity(entry)
        if track_id is None:
            self.num_unnamed += 1
            track_id = f"{place:05d}-{self.num_unnamed:05d}"
        told = f"{self.samples.file}: {where}"
        self.gathered.add(track_id, place, rle, category=label or None, where=told, sounding=flag_of(said))

    def _mask(self, entry: _Entry, size: tuple[int, int]) -> Rle:
        """The mask of a whole still; what is stored is cut out along the box."""
        height, width = size
        box = _listed(entry.get("bounding_box"))
        numbers = [number for value in box if (number := _number(value)) is not None]
        if len(box) != 4 or len(numbers) != 4:
            raise DataError(f"bounding_box must be four numbers (found {box!r:.60})")
        left, top, wide, tall = (value * length for value, length in zip(numbers, (width, height) * 2, strict=True))
        if min(left, top, wide, tall) < -1 or left + wide > width + 1 or top + tall > height + 1:
            raise DataError(f"bounding_box leads out of the picture (found {box!r:.60})")
        crop_HW = self._crop(entry, size)
        rows, columns = crop_HW.shape
        if abs(rows - tall) > 1 or abs(columns - wide) > 1:
            raise DataError(f"the mask has {columns} x {rows} pixels, its box {wide:.1f} x {tall:.1f}")
        self.num_moved += round(tall) != rows or round(wide) != columns
        mask_HW = np.zeros(size, bool)
        y, x = max(0, round(top)), max(0, round(left))
        crop_HW = crop_HW[: height - y, : width - x]
        mask_HW[y : y + crop_HW.shape[0], x : x + crop_HW.shape[1]] = crop_HW
        return encode(mask_HW)

    def _crop(self, entry: _Entry, size: tuple[int, int]) -> NDArray[np.bool_]:
        """bool (h, w), as stored."""
        path = entry.get("mask_path")
        if isinstance(path, str):
            return _two_dimensional(picture_pixels(self.samples.file.parent / foreign_path(path)).astype(bool))
        stored = entry.get("mask")
        inner = stored.get("$binary") if isinstance(stored, dict) else None
        text = inner.get("base64") if isinstance(inner, dict) else None
        if not isinstance(text, str):
            raise DataError("has no mask; boxes alone are no masks")
        most = _HEAD_BYTES + 8 * (size[0] + 2) * (size[1] + 2)
        try:
            unpacking = zlib.decompressobj()
            data = unpacking.decompress(base64.b64decode(text, validate=True), most)
        except (ValueError, binascii.Error, zlib.error) as error:
            raise DataError(f"the mask cannot be unpacked ({error})") from None
        if unpacking.unconsumed_tail:
            raise DataError("the mask is larger than the picture")
        return _two_dimensional(npy_array(data).astype(bool))


def _two_dimensional(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if mask.ndim != 2:
        raise DataError(f"the mask has {mask.ndim} dimensions, must have 2")
    return mask


def _identity(entry: _Entry) -> str | None:
    """What an object is called in all stills: track_id, else its instance, else its index."""
    track_id, instance, index = entry.get("track_id"), entry.get("instance"), entry.get("index")
    if isinstance(track_id, (str, int)) and not isinstance(track_id, bool) and track_id != "":
        return str(track_id)
    number = instance.get("_id") if isinstance(instance, dict) else None
    number = number.get("$oid") if isinstance(number, dict) else None
    if isinstance(number, str) and number:
        return number
    return str(index) if type(index) is int and index.bit_length() < 64 else None


def _listed(value: object) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise DataError(f"must be a list (found {value!r:.40})")
    return value


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
    except OverflowError:
        pass
    return None
