"""The stages that make what near-duplicates are found by: a fingerprint per clip, then Parquet parts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from avis_data.cycles import no_cycle_search
from avis_data.errors import DataError, ItemError, Reason
from avis_data.ledger import Ledger
from avis_data.pipelines.engine.spec import Candidates, Current, StageSpec
from avis_data.pipelines.engine.stage import Input, Item, Workbench, stage_key
from avis_data.pipelines.stages.made_clips import ClipItems
from avis_data.recipe import Recipe
from avis_data.records import Fps, Record, SafeId

if TYPE_CHECKING:
    from avis_data.fingerprints.making import Fingerprint

__all__ = [
    "SPEC",
    "FingerprintFacts",
    "FingerprintRequest",
    "FingerprintStage",
    "PackFingerprintsStage",
    "fingerprint_items",
    "pack_fingerprint_items",
]

_TORN = Reason.TORN_INPUT


class FingerprintParams(Record):
    """What fingerprints depend on besides stills and sound: nothing but how they are made."""


class FingerprintRequest(Record):
    """One clip."""

    clip_id: SafeId
    fps: Fps
    num_frames: int = Field(gt=0)
    num_seconds: int = Field(gt=0)


class FingerprintFacts(Record):
    """How much of a clip its fingerprint holds."""

    num_stills: int
    num_steps: int


class FingerprintPart(Record):
    """One part of the table."""

    bucket: str = Field(pattern=r"^[0-9a-f]$", description="features.store.bucket of every clip in it.")


class FingerprintPartFacts(Record):
    """What one part holds."""

    num_clips: int


class FingerprintStage:
    """Stills and `audio.wav` of a clip to `<clip_id>.npz`: small grey stills, one a second, and bands of sound."""

    name = "fingerprint"
    version = 1
    params = FingerprintParams()

    def timeout_s(self, record: Record) -> float:
        """A minute, and a fifth of real time, 40 times what it takes."""
        assert isinstance(record, FingerprintRequest)
        return 60.0 + 0.2 * record.num_seconds

    def run(self, bench: Workbench) -> FingerprintFacts:
        """Make the fingerprint of one clip.

        Raises:
            ItemError: `torn_input` if a still is missing or no picture, or the WAV is unreadable.
        """
        from PIL import Image

        from avis_data.fingerprints.making import clip_fingerprint
        from avis_data.fingerprints.store import write_clip_fingerprint

        request = bench.record
        assert isinstance(request, FingerprintRequest)
        stills = [bench.inputs["frames"] / f"{number:05d}.jpg" for number in range(request.num_frames)]
        try:
            found = clip_fingerprint(request.clip_id, stills, bench.inputs["audio"], fps=request.fps)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ItemError(f"{request.clip_id}: its stills or sound cannot be read ({error})", reason=_TORN) from None
        write_clip_fingerprint(bench.out / f"{request.clip_id}.npz", found)
        return FingerprintFacts(num_stills=len(found.stills_THW), num_steps=len(found.sound_NB))


class PackFingerprintsStage:
    """The `.npz` of the clips of one bucket (inputs, by clip id) to `part-<bucket>.parquet`, in the order of ids."""

    name = "pack-fingerprints"
    version = 1
    params = FingerprintParams()

    def timeout_s(self, record: Record) -> float:
        """Ten minutes: a part of ten thousand clips takes seconds."""
        return 600.0

    def run(self, bench: Workbench) -> FingerprintPartFacts:
        """Write one part.

        Raises:
            ItemError: `torn_input` if a fingerprint is unreadable.
        """
        from avis_data.features.store import part_name
        from avis_data.fingerprints.store import write_fingerprints

        assert isinstance(bench.record, FingerprintPart)
        prints = (_read(clip_id, bench.inputs[clip_id]) for clip_id in sorted(bench.inputs))
        num_clips = write_fingerprints(bench.out / part_name(bench.record.bucket), prints)
        return FingerprintPartFacts(num_clips=num_clips)


def _read(clip_id: str, path: Path) -> Fingerprint:
    from avis_data.fingerprints.store import read_clip_fingerprint

    try:
        return read_clip_fingerprint(clip_id, path)
    except DataError as error:
        raise ItemError(str(error), reason=_TORN) from None


_CLIPS = ClipItems(
    request=FingerprintRequest,
    facts=("fps", "num_frames", "num_seconds"),
    inputs={"frames": "frames", "audio": "audio.wav"},
    home="fingerprints/clips",
)


def fingerprint_items(ledger: Ledger) -> Candidates:
    """One item per wanted clip whose stills and sound are there, extracted or adopted."""
    return _CLIPS.of(ledger)


@no_cycle_search()
def pack_fingerprint_items(ledger: Ledger) -> Candidates:
    """One item per Parquet part: all wanted clips of its bucket that have a fingerprint; an emptied one once more."""
    from avis_data.features.store import bucket

    name, packed = FingerprintStage.name, ledger.entries(PackFingerprintsStage.name)
    buckets: dict[str, dict[str, Input]] = {item_id.removeprefix("fingerprints-"): {} for item_id in packed}
    for rows in (ledger.wanted_made(name), ledger.adopted_made(name)):
        for clip_id, made in rows:
            if made is not None:
                buckets.setdefault(bucket(clip_id), {})[clip_id] = Input.of(made.only_output(name))
    return Candidates(
        items=[
            Item(
                item_id=f"fingerprints-{name}",
                record=FingerprintPart(bucket=name),
                inputs=inputs,
                home="fingerprints",
            )
            for name, inputs in sorted(buckets.items())
        ]
    )


def _up_to_date(ledger: Ledger, _: Recipe) -> Current:
    """Clips whose fingerprints were made from the stills and the sound that they have now."""
    stage_hash = stage_key(FingerprintStage())
    return _CLIPS.current(ledger, FingerprintStage.name, lambda _: stage_hash)


SPEC = StageSpec(
    name=FingerprintStage.name,
    summary="Make fingerprints of the clips, by which near-duplicates are found.",
    make=lambda recipe, choices: FingerprintStage(),
    items=lambda setting: fingerprint_items(setting.ledger),
    covers=("clip", "adopted"),
    after=("extract", "adopt"),
    then=(
        StageSpec(
            name=PackFingerprintsStage.name,
            summary="Write the fingerprints into the parts of their table.",
            make=lambda recipe, choices: PackFingerprintsStage(),
            items=lambda setting: pack_fingerprint_items(setting.ledger),
        ),
    ),
    up_to_date=_up_to_date,
)
