"""Whether what an export would take belongs together: stills of this recipe, embeddings, masks, truth of its clips."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from avis_data.errors import DataError, Problem
from avis_data.features.store import bucket, read_embeddings
from avis_data.ledger import Ledger
from avis_data.masks.rle import Rle
from avis_data.masks.spool import MaskSpool, SpooledMasks
from avis_data.masks.table import DrawnRow, read_drawn
from avis_data.paths import Workspace
from avis_data.pipelines.exports.division import HeldClip
from avis_data.pipelines.exports.spec import TakenFeatures
from avis_data.pipelines.stages import STAGES
from avis_data.pipelines.truth_records import ImportedClip, LabelledTruth
from avis_data.recipe import Recipe, Truth
from avis_data.records import CategorySet, Clip, SoundState, State

__all__ = [
    "ExportTrack",
    "HeldTrack",
    "check_features",
    "check_media",
    "embedded_clips",
    "hash_features",
    "read_tracks",
    "truth_fault",
]

_IMPORT = "avis-data import --format ytvis TRUTH"


class HeldTrack(NamedTuple):
    """What an export needs of a track: a quarter of the record, and there are many."""

    track_id: str
    category: str
    num_sounding: int
    origin: str
    round: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportTrack:
    """One track with at least one mask."""

    track: HeldTrack
    category_id: int
    masks: SpooledMasks
    """One per still, on disk; None where it does not sound or, where all that is seen is asked for, is not seen."""
    sounding: tuple[bool | None, ...]
    """One per still: whether it sounds; None where it has no mask, or nobody said so."""


def check_media(ledger: Ledger, recipe: Recipe, clips: Iterable[HeldClip]) -> Iterator[Problem]:
    """Clips whose stills and sound are not what the recipe would make of the list and the sources now."""
    of_sets = {clip_id for clip_id, _ in ledger.adopted()}
    extracted, adopted = _up_to_date("extract", ledger, recipe), _up_to_date("adopt", ledger, recipe)
    for clip in clips:
        if clip.clip_id in of_sets and clip.fps != recipe.extract.fps:
            message = f"has {clip.fps:g} stills a second, the recipe {recipe.extract.fps:g}; set extract.fps in it"
            yield _problem(clip, "stills", message)
        elif clip.clip_id in of_sets and clip.clip_id not in adopted:
            missing = clip.sound in (SoundState.NONE, SoundState.SHORT)
            fault = f"is {clip.sound}, which the recipe takes no more" if missing else "was not copied to its end"
            yield _problem(clip, "sound", f"{fault}; {_IMPORT} --media DIR")
        elif clip.clip_id not in of_sets and clip.clip_id not in extracted:
            message = "are not those that the recipe, the list and the source would give now; avis-data extract"
            yield _problem(clip, "stills", message)


def check_features(ledger: Ledger, recipe: Recipe, clips: Iterable[HeldClip]) -> Iterator[Problem]:
    """Clips whose row of the embedding table was not made from the sound that they have now."""
    current, made = _up_to_date("embed", ledger, recipe), ledger.only_output("embed")
    packed = ledger.inputs("pack")
    for clip in clips:
        if clip.clip_id not in current:
            yield _problem(clip, "features", "the embeddings were not made from the sound it has now; avis-data embed")
        elif packed.get(f"part-{bucket(clip.clip_id)}", {}).get(clip.clip_id) != made[clip.clip_id].sha256:
            yield _problem(clip, "features", "the embeddings are not in their table yet; avis-data embed")


def embedded_clips(
    workspace: Workspace, ledger: Ledger, clips: Sequence[HeldClip], wanted: TakenFeatures
) -> list[HeldClip]:
    """The clips whose embeddings are written: where none are needed, those of which some were ever made."""
    if wanted == "all":
        return list(clips)
    if wanted == "none" or not any(path.is_file() for path in workspace.features.rglob("*")):
        return []
    made = ledger.done_keys("embed").keys()
    return [clip for clip in clips if clip.clip_id in made]


def hash_features(workspace: Workspace, clips: Sequence[HeldClip], problems: list[Problem]) -> dict[str, str]:
    """The hash of the embeddings of each clip; what does not fit its stills is added to `problems`.

    Raises:
        DataError: if the table lacks some, or cannot be read.
    """
    hint = "avis-data embed; ytvis goes without them too: --format ytvis --without-features"
    if not any(workspace.features.glob("part-*.parquet")):
        raise DataError(f"{workspace.root}: no embeddings of any clip", hint=hint)
    num_frames = {clip.clip_id: clip.num_frames for clip in clips}
    hashes = {}
    try:
        for clip_id, embeddings_TD in read_embeddings(workspace.features, sorted(num_frames)):
            if len(embeddings_TD) != num_frames[clip_id]:
                message = f"{len(embeddings_TD)} embeddings for {num_frames[clip_id]} stills; avis-data embed --force"
                problems.append(Problem(f"clip {clip_id}", "features", message))
            hashes[clip_id] = hashlib.sha256(embeddings_TD.tobytes()).hexdigest()
    except DataError as error:
        raise DataError(str(error.args[0]), hint=hint) from None
    return hashes


def truth_fault(clip: Clip, num_tracks: int, was: ImportedClip | LabelledTruth | None) -> Problem | None:
    """Whether the truth of a clip was made for other stills or other sound than it has now, or is not all there."""
    if was is None or not was.frames_sha256:
        fault = "it is not known for which stills it was made"
    elif was.frames_sha256 != clip.frames_sha256:
        fault = "it was made for other stills"
    elif was.audio_sha256 != clip.audio_sha256:
        fault = "it was made for other sound"
    elif was.num_tracks != num_tracks:
        fault = f"manifest/tracks.jsonl has {num_tracks} of its {was.num_tracks} track(s)"
    else:
        return None
    again = f"avis-data review confirm {clip.clip_id}" if isinstance(was, LabelledTruth) else f"{_IMPORT} again"
    return Problem(f"clip {clip.clip_id}", "truth", f"{fault}; see that it fits, then {again}")


def _up_to_date(stage: str, ledger: Ledger, recipe: Recipe) -> set[str]:
    of_stage = STAGES[stage].up_to_date
    return set(ledger.done_keys(stage) if of_stage is None else of_stage(ledger, recipe))


def _problem(clip: HeldClip, name: str, message: str) -> Problem:
    return Problem(f"clip {clip.clip_id}", name, message)


def read_tracks(
    workspace: Workspace,
    clips: Sequence[HeldClip],
    tracks: dict[str, list[HeldTrack]],
    categories: CategorySet,
    truth: Truth,
    problems: list[Problem],
) -> dict[str, tuple[ExportTrack, ...]]:
    """The tracks that have masks, with these; what does not fit is added to `problems`."""
    ids = {category.name: category.id for category in categories.categories}
    found: dict[str, tuple[ExportTrack, ...]] = dict.fromkeys((clip.clip_id for clip in clips), ())
    spool = MaskSpool()
    wanted = {clip.clip_id: clip for clip in clips if clip.clip_id in tracks}
    for clip_id, rows in _mask_rows(workspace, wanted):
        clip = wanted[clip_id]
        of_track: dict[tuple[str, str], list[DrawnRow]] = defaultdict(list)
        for row in rows:
            of_track[row.track_id, row.round].append(row)
        kept = []
        for track in tracks[clip_id]:
            rows_of_track = _fitting_rows(clip, track, of_track[track.track_id, track.round], truth, problems)
            if rows_of_track and track.category in ids:
                kept.append(_export_track(clip, track, ids[track.category], rows_of_track, spool))
        found[clip_id] = tuple(kept)
    return found


def _mask_rows(workspace: Workspace, wanted: dict[str, HeldClip]) -> Iterator[tuple[str, list[DrawnRow]]]:
    """Every wanted clip once; a clip of which the table holds nothing with an empty list."""
    missing = set(wanted)
    for clip_id, rows in read_drawn(workspace.masks, wanted):
        missing.discard(clip_id)
        yield clip_id, rows
    yield from ((clip_id, []) for clip_id in sorted(missing))


def _fitting_rows(
    clip: HeldClip, track: HeldTrack, rows: Sequence[DrawnRow], truth: Truth, problems: list[Problem]
) -> list[DrawnRow]:
    """The rows of which the export has masks: those that have pixels, and that sound unless all are asked for."""
    where = f"clip {clip.clip_id}"
    states = [row.state for row in rows]
    if (num_sounding := states.count(State.SOUNDING)) != track.num_sounding:
        message = f"track {track.track_id} sounds in {track.num_sounding} stills, the masks table has "
        problems.append(Problem(where, "masks", f"{message}{num_sounding}"))
    if truth == "sounding" and (num_visible := states.count(State.VISIBLE)):
        message = f"of {num_visible} masks of track {track.track_id} nobody said whether they sound"
        problems.append(Problem(where, "masks", f"{message}; avis-data export --objects visible"))
    fitting = []
    for row in rows:
        if row.state is not State.SOUNDING and (truth == "sounding" or row.counts is None):
            continue
        if row.frame >= clip.num_frames:
            message = f"still {row.frame} of track {track.track_id}, but the clip has {clip.num_frames} stills"
            problems.append(Problem(where, "masks", message))
        elif (row.width, row.height) != clip.size_wh:
            message = f"track {track.track_id}, still {row.frame}: mask of {row.width}x{row.height} pixels"
            problems.append(Problem(where, "masks", f"{message}, stills of {clip.size_wh[0]}x{clip.size_wh[1]}"))
        elif row.counts is not None and row.area_px > 0:
            fitting.append(row)
    return fitting


_SOUNDS: dict[State, bool | None] = {State.SOUNDING: True, State.SILENT: False}


def _export_track(
    clip: HeldClip, track: HeldTrack, category_id: int, rows: Iterable[DrawnRow], spool: MaskSpool
) -> ExportTrack:
    masks: list[Rle | None] = [None] * clip.num_frames
    sounding: list[bool | None] = [None] * clip.num_frames
    for row in rows:
        if row.counts is not None:
            masks[row.frame] = Rle(row.height, row.width, row.counts)
            sounding[row.frame] = _SOUNDS.get(row.state)
    kept, sounds = spool.keep(masks), tuple(sounding)
    sounds = kept.drawn if kept.drawn == sounds else sounds  # one object: there are many
    return ExportTrack(track=track, category_id=category_id, masks=kept, sounding=sounds)
