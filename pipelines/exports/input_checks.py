"""Whether what an export would take belongs together: stills of this recipe, embeddings and truth of these clips."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from avis_data.errors import DataError, Problem
from avis_data.features.store import bucket, read_embeddings
from avis_data.ledger import Ledger
from avis_data.paths import Workspace
from avis_data.pipelines.exports.spec import TakenFeatures
from avis_data.pipelines.stages import STAGES
from avis_data.pipelines.truth_records import ImportedClip, LabelledTruth
from avis_data.recipe import Recipe
from avis_data.records import Clip, SoundState, Track

__all__ = ["check_features", "check_media", "check_truth", "embedded_clips", "hash_features"]

_IMPORT = "avis-data import --format ytvis TRUTH"


def check_media(ledger: Ledger, recipe: Recipe, clips: Iterable[Clip]) -> Iterator[Problem]:
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


def check_features(ledger: Ledger, recipe: Recipe, clips: Iterable[Clip]) -> Iterator[Problem]:
    """Clips whose row of the embedding table was not made from the sound that they have now."""
    current, made = _up_to_date("embed", ledger, recipe), ledger.only_output("embed")
    packed = ledger.inputs("pack")
    for clip in clips:
        if clip.clip_id not in current:
            yield _problem(clip, "features", "the embeddings were not made from the sound it has now; avis-data embed")
        elif packed.get(f"part-{bucket(clip.clip_id)}", {}).get(clip.clip_id) != made[clip.clip_id].sha256:
            yield _problem(clip, "features", "the embeddings are not in their table yet; avis-data embed")


def embedded_clips(workspace: Workspace, ledger: Ledger, clips: Sequence[Clip], wanted: TakenFeatures) -> list[Clip]:
    """The clips whose embeddings are written: where none are needed, those of which some were ever made."""
    if wanted == "all":
        return list(clips)
    if wanted == "none" or not any(path.is_file() for path in workspace.features.rglob("*")):
        return []
    made = ledger.done_keys("embed").keys()
    return [clip for clip in clips if clip.clip_id in made]


def hash_features(workspace: Workspace, clips: Sequence[Clip], problems: list[Problem]) -> dict[str, str]:
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


def check_truth(
    clips: Iterable[Clip],
    tracks: Mapping[str, Sequence[Track]],
    made_for: Mapping[str, ImportedClip | LabelledTruth],
) -> Iterator[Problem]:
    """Clips whose truth was made for other stills or other sound than they have now, or is not all there."""
    for clip in clips:
        was, num_tracks = made_for.get(clip.clip_id), len(tracks.get(clip.clip_id, ()))
        again = f"{_IMPORT} again"
        if isinstance(was, LabelledTruth):
            again = f"avis-data review confirm {clip.clip_id}"
        if was is None or not was.frames_sha256:
            fault = "it is not known for which stills it was made"
        elif was.frames_sha256 != clip.frames_sha256:
            fault = "it was made for other stills"
        elif was.audio_sha256 != clip.audio_sha256:
            fault = "it was made for other sound"
        elif was.num_tracks != num_tracks:
            fault = f"manifest/tracks.jsonl has {num_tracks} of its {was.num_tracks} track(s)"
        else:
            continue
        yield _problem(clip, "truth", f"{fault}; see that it fits, then {again}")


def _up_to_date(stage: str, ledger: Ledger, recipe: Recipe) -> set[str]:
    of_stage = STAGES[stage].up_to_date
    return set(ledger.done_keys(stage) if of_stage is None else of_stage(ledger, recipe))


def _problem(clip: Clip, name: str, message: str) -> Problem:
    return Problem(f"clip {clip.clip_id}", name, message)
