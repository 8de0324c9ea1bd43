"""A whole format of labelled sets in one module: one JSON file for each clip, its stills beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from avis_data.errors import DataError, Problem
from avis_data.formats.sets.clips import LabelledClip, LabelledTrack, Media, Still, UnreadClip
from avis_data.formats.sets.options import Option
from avis_data.formats.sets.spec import Clips, Keeps, SetFacts, SetSpec
from avis_data.io import read_json


@dataclass(frozen=True, kw_only=True)
class ToyReader:
    """Reads what `ToyWriter` writes."""

    numbered: bool = False
    """Stills have the numbers that they are named by; else the numbers of their places."""

    def looks_right(self, path: Path) -> bool:
        return (path / "toy.txt").is_file()

    def read(self, path: Path) -> Iterator[LabelledClip | UnreadClip]:
        if not self.looks_right(path):
            raise DataError(f"{path}: no toy.txt in it")
        for file in sorted(path.glob("*/labels.json")):
            try:
                yield self.clip(file)
            except (KeyError, TypeError) as error:
                yield UnreadClip(name=file.parent.name, problems=(Problem(str(file), "", f"no {error}"),))

    def clip(self, file: Path) -> LabelledClip:
        from avis_data.masks.rle import Rle

        said = read_json(file)
        height, width = said["size"]
        return LabelledClip(
            name=file.parent.name,
            width=width,
            height=height,
            split=said["split"],
            stills=tuple(
                Still(
                    name=name,
                    number=int(name) if self.numbered else number,
                    picture=_picture(file.with_name(f"{name}.jpg")),
                )
                for number, name in enumerate(said["stills"])
            ),
            tracks=tuple(
                LabelledTrack(
                    track_id=track["id"],
                    category=track["category"],
                    masks=tuple(counts and Rle(height, width, counts) for counts in track["masks"]),
                    sounding=tuple(track["sounding"]),
                )
                for track in said["tracks"]
            ),
            label_files=(file,),
        )


def _picture(path: Path) -> Media | None:
    return Media(name=path.name, path=path) if path.exists() else None


@dataclass(frozen=True, kw_only=True)
class ToyWriter:
    """One file for each clip."""

    mood: Annotated[str, Option(help="How the set feels.")] = "glad"
    breaks: bool = False
    """Loses the last track of every clip, for tests."""
    deaf: bool = False
    """Says nothing of sound."""

    def write_clip(self, folder: Path, clip: LabelledClip, facts: SetFacts) -> list[str]:
        names = [f"{clip.name}/labels.json", *(f"{clip.name}/{still.name}.jpg" for still in clip.stills)]
        for still, name in zip(clip.stills, names[1:], strict=True):
            assert still.picture is not None
            still.picture.put(folder / name)  # makes the folder
        tracks = [
            {
                "id": track.track_id,
                "category": track.category,
                "masks": [mask and mask.counts for mask in track.masks],
                "sounding": [None] * len(track.masks) if self.deaf else track.sounding,
            }
            for track in clip.tracks[: -1 if self.breaks else None]
        ]
        said = {"size": [clip.height, clip.width], "split": clip.split, "tracks": tracks, "of": facts.name}
        said["stills"] = [still.name for still in clip.stills]
        (folder / names[0]).write_text(json.dumps(said), encoding="utf-8")
        return names

    def write_shared(self, folder: Path, clips: Clips, facts: SetFacts) -> list[str]:
        lines = [f"{self.mood} {facts.name} {facts.version}", *(f"{clip.name} {clip.split}" for clip in clips())]
        (folder / "toy.txt").write_text("\n".join(lines), encoding="utf-8")
        return ["toy.txt"]


TOY_SET = SetSpec(
    name="toy-set",
    summary="One JSON file for each clip.",
    keeps=Keeps(),
    reader=ToyReader(),
    writer=ToyWriter(),
)
