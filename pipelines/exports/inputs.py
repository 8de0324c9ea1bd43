"""What an export is made from: clips with their truth, sources and features, gathered and checked before any write."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from avis_data.categories import category_set
from avis_data.errors import DataError, Problem, ProblemsError
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.exports.division import HeldClip, Source, Together, kept_together
from avis_data.pipelines.exports.input_checks import (
    ExportTrack,
    HeldTrack,
    check_features,
    check_media,
    embedded_clips,
    hash_features,
    read_tracks,
    truth_fault,
)
from avis_data.pipelines.exports.spec import TakenFeatures
from avis_data.pipelines.truth_records import (
    ACCEPTED,
    DRAFT,
    IMPORTED,
    ImportedClip,
    LabelledTruth,
    labelled_truth,
    truth_that_counts,
)
from avis_data.pipelines.upkeep.licenses import without_held
from avis_data.recipe import Recipe, Truth, load_recipe
from avis_data.records import CategorySet, Clip, Track, Video
from avis_data.splits import SplitClip
from avis_data.spools import RecordSpool

__all__ = ["ExportClip", "ExportInputs", "ExportTrack", "Piece", "Selection", "gather"]

Selection = Literal["accepted", "all"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportClip:
    """One clip with all that is written of it."""

    held: HeldClip
    records: RecordSpool[Clip]
    source: Source
    group: str
    """Name of its source group: clips that share a source video or a source file, directly or over others, or what else
    the recipe keeps together (`split.group_by`)."""
    tracks: tuple[ExportTrack, ...]
    """Sorted by track id; empty for a clip in which nothing sounds, or without truth."""
    has_truth: bool
    """False: nobody has said what sounds in it."""
    labels: LabelledTruth | None
    """Whose labels its truth is; None where it is from a file, or there is none."""
    features_sha256: str | None
    """Hash of the float32 values of its embeddings; None where they are left out, or there are none."""

    @property
    def clip(self) -> Clip:
        """The record, read anew each time that it is asked for."""
        return self.records.read(self.held.place)

    @property
    def license(self) -> str | None:
        """What the list says of the clip, else what the source says of itself."""
        return self.held.license or self.source.license

    def whole(self) -> Piece:
        """The clip as one piece."""
        return Piece(item=self, name=self.held.clip_id, start=0, stop=self.held.num_frames)

    def part(self, start: int, stop: int) -> Piece:
        """Stills [start, stop), named by the clip and the first of them."""
        return Piece(item=self, name=f"{self.held.clip_id}_{start}", start=start, stop=stop)


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A clip, or some stills of it that follow each other: what an export divides into splits and counts."""

    item: ExportClip
    name: str
    """Unique in an export."""
    start: int
    stop: int
    """Stills [start, stop) of the clip."""

    @property
    def frames(self) -> range:
        """Numbers of its stills in the clip."""
        return range(self.start, self.stop)

    @property
    def seconds(self) -> float:
        """How long it is; whole seconds at one still a second."""
        clip = self.item.held
        if len(self.frames) == clip.num_frames:
            return clip.num_seconds
        return len(self.frames) if clip.fps == 1 else round(len(self.frames) / clip.fps, 3)

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories of its masks, sorted; where nobody has said what sounds, those that the list says."""
        if not self.item.has_truth:
            return tuple(sorted(set(self.item.held.categories)))
        return tuple(sorted({track.track.category for track in self.tracks}))

    @property
    def num_masks(self) -> int:
        """Masks in it."""
        return sum(sum(track.masks.drawn[self.start : self.stop]) for track in self.tracks)

    @property
    def tracks(self) -> tuple[ExportTrack, ...]:
        """The tracks with a mask in it."""
        return tuple(track for track in self.item.tracks if any(track.masks.drawn[self.start : self.stop]))

    @property
    def profile(self) -> tuple[int, int, int]:
        """Stills in which none, one, several tracks sound; zeros for a clip of which that is not known."""
        if not self.item.has_truth:
            return 0, 0, 0
        return _profile(len(self.frames), *(track.sounding[self.start : self.stop] for track in self.item.tracks))

    def for_split(self) -> SplitClip:
        """What the division into splits looks at: the truth, or where there is none what the list says is in it."""
        return SplitClip(
            clip_id=self.name,
            video_id=self.item.held.video_id,
            group=self.item.group,
            categories=self.categories,
            num_tracks=len(self.tracks),
            seconds=self.profile,
        )


@lru_cache(maxsize=1024)  # short clips are much alike
def _profile(num_frames: int, *sounding: Sequence[bool | None]) -> tuple[int, int, int]:
    """Frames in which none, one, several of the tracks sound."""
    together = [0] * num_frames
    for of_track in sounding:
        for place, sounds in enumerate(of_track):
            together[place] += sounds is True
    silent, single = together.count(0), together.count(1)
    return silent, single, num_frames - silent - single


@dataclass(frozen=True, kw_only=True)
class ExportInputs:
    """The clips of an export, sorted by id, and what they have in common."""

    clips: tuple[ExportClip, ...]
    categories: CategorySet
    recipe: Recipe
    recipe_text: str
    """The text of the recipe's file."""
    truth: Truth
    """Which masks the tracks have."""
    together: Together
    """Which clips stay on one side of every split."""
    without_truth: tuple[str, ...]
    """Clips of the workspace that have no accepted truth: left out, or exported without annotations."""
    dropped: tuple[str, ...]
    """Clips that a reviewer dropped: never exported."""
    sent_back: tuple[str, ...]
    """Clips whose labels a reviewer sent back, and nobody mended yet: these labels are not exported."""
    held: tuple[str, ...]
    """Clips whose licence the recipe does not allow: never exported."""

    def unknown_categories(self) -> dict[str, int]:
        """What the list says is in clips and the category set does not have: names, and in how many clips."""
        known = {category.name for category in self.categories.categories}
        found = Counter(name for item in self.clips for name in set(item.held.categories) - known)
        return dict(sorted(found.items()))


def gather(
    workspace: Workspace,
    ledger: Ledger,
    *,
    selection: Selection,
    features: TakenFeatures,
    include_draft: bool = False,
    truth: Truth | None = None,
) -> ExportInputs:
    """Read manifests, masks and embeddings of a workspace and check that they belong together.

    Args:
        workspace: a folder with a recipe.
        ledger: of the workspace; says what everything was made from.
        selection: `accepted`: clips with accepted truth; `all`: the others too, without annotations.
        features: of which clips embeddings are wanted.
        include_draft: labels that nobody accepted yet are truth too, for clips that have no other.
        truth: which masks are wanted; None: as the recipe says.

    Raises:
        ConfigError: if the folder is no workspace.
        DataError: if there are no clips, none with accepted truth, or no embeddings though they are needed.
        ProblemsError: with everything that does not fit together.
    """
    recipe = load_recipe(workspace)
    truth = truth or recipe.truth
    categories = category_set(recipe.categories)
    people = labelled_truth(workspace)
    made_for = truth_that_counts(workspace, people, include_draft=include_draft)
    tracks = _tracks_of(workspace, made_for)
    labelled = made_for.keys() | tracks.keys()  # a clip in which nothing sounds has truth and no tracks
    videos = {video.video_id: Source.of(video) for video in read_manifest(workspace.manifest / "videos.jsonl", Video)}
    found = _choose_clips(workspace, selection, labelled, people, made_for, tracks)
    labels = {clip_id: of for clip_id, of in made_for.items() if isinstance(of, LabelledTruth)}
    made_for.clear()  # of files it is many, and not needed any more
    chosen, held = without_held(found.clips, videos, recipe)
    problems = [*_check_records(chosen, videos, tracks, categories), *check_media(ledger, recipe, chosen)]
    problems += [found.faults[clip.place] for clip in chosen if clip.place in found.faults]
    embedded = embedded_clips(workspace, ledger, chosen, features)
    problems += check_features(ledger, recipe, embedded) if embedded else ()
    found_tracks = read_tracks(workspace, chosen, tracks, categories, truth, problems)
    hashes = hash_features(workspace, embedded, problems) if embedded else {}
    if problems:
        raise ProblemsError(f"{workspace.root}: {len(problems)} problem(s), so nothing was exported", problems)
    together = kept_together(workspace, ledger, recipe, chosen, videos)
    clips = [
        ExportClip(
            held=clip,
            records=found.records,
            source=videos[clip.video_id],
            group=together.side_of[clip.clip_id],
            tracks=found_tracks[clip.clip_id],
            has_truth=clip.clip_id in labelled,
            labels=labels.get(clip.clip_id),
            features_sha256=hashes.get(clip.clip_id),
        )
        for clip in chosen
    ]
    return ExportInputs(
        clips=tuple(clips),
        categories=categories,
        recipe=recipe,
        recipe_text=workspace.recipe.read_text(encoding="utf-8"),
        together=together,
        truth=truth,
        without_truth=found.without_truth,
        dropped=_in_state(people, "dropped"),
        sent_back=_in_state(people, "sent back"),
        held=held,
    )


def _in_state(people: Mapping[str, LabelledTruth], state: str) -> tuple[str, ...]:
    return tuple(sorted(clip_id for clip_id, entry in people.items() if entry.state == state))


def _labels_of(truth: ImportedClip | LabelledTruth | None) -> LabelledTruth | None:
    return truth if isinstance(truth, LabelledTruth) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """The clips to export."""

    clips: list[HeldClip]
    """Sorted by id."""
    records: RecordSpool[Clip]
    faults: dict[int, Problem]
    """What is wrong with the truth of a clip, by the place of its record."""
    without_truth: tuple[str, ...]
    """The ids of all clips of the workspace that have no truth, sorted."""


def _choose_clips(
    workspace: Workspace,
    selection: Selection,
    labelled: Set[str],
    people: Mapping[str, LabelledTruth],
    made_for: Mapping[str, ImportedClip | LabelledTruth],
    tracks: Mapping[str, Sequence[HeldTrack]],
) -> _Found:
    """Go through the clips, of which one record at a time is in memory."""
    records, shared, faults = RecordSpool(Clip), dict[object, Any](), dict[int, Problem]()
    chosen: list[HeldClip] = []
    without_truth: list[str] = []
    clip = None
    for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip):
        if clip.clip_id in people and people[clip.clip_id].state == "dropped":
            continue
        has_truth = clip.clip_id in labelled
        without_truth += [] if has_truth else [clip.clip_id]
        if has_truth or selection == "all":
            chosen.append(_held(clip, records.keep(clip), shared))
        if has_truth and (fault := truth_fault(clip, len(tracks.get(clip.clip_id, ())), made_for.get(clip.clip_id))):
            faults[chosen[-1].place] = fault
    if clip is None:
        raise DataError(f"{workspace.root}: no clips to export", hint="avis-data run")
    if not chosen:
        message = f"{workspace.root}: none of {len(without_truth)} clips has accepted truth"
        raise DataError(message, hint=_without_truth_hint(people))
    chosen.sort(key=lambda clip: clip.clip_id)
    return _Found(clips=chosen, records=records, faults=faults, without_truth=tuple(sorted(without_truth)))


def _held(clip: Clip, place: int, shared: dict[object, Any]) -> HeldClip:
    """What is kept of a clip; `shared` has the values that many have, so that there is one object for all."""
    size_wh, categories = (clip.width, clip.height), tuple(clip.categories)
    return HeldClip(
        clip_id=clip.clip_id,
        video_id=clip.video_id,
        num_seconds=clip.num_seconds,
        fps=shared.setdefault(str(clip.fps), clip.fps),
        num_frames=clip.num_frames,
        size_wh=shared.setdefault(size_wh, size_wh),
        sound=clip.sound,
        categories=shared.setdefault(categories, categories),
        license=clip.license,
        split=clip.split,
        place=place,
    )


def _without_truth_hint(people: Mapping[str, LabelledTruth]) -> str:
    num_drafts = sum(entry.state == "draft" for entry in people.values())
    if num_drafts:
        return f"avis-data review start; or avis-data export --include draft: {num_drafts} clip(s) have labels"
    return "avis-data import --format ytvis truth.json, or avis-data export --select all"


def _tracks_of(workspace: Workspace, truth: Mapping[str, ImportedClip | LabelledTruth]) -> dict[str, list[HeldTrack]]:
    """The tracks of the truth that counts, by clip; those of clips whose origin is not known are taken for imported."""
    rounds = {"accepted": ACCEPTED, "draft": DRAFT}
    found: dict[str, list[HeldTrack]] = defaultdict(list)
    for track in read_manifest(workspace.manifest / "tracks.jsonl", Track):
        labels = _labels_of(truth.get(track.clip_id))
        if track.round == (rounds[labels.state] if labels else IMPORTED):
            held = HeldTrack(track.track_id, track.category, track.num_sounding, track.origin, track.round)
            found[track.clip_id].append(held)
    return {clip_id: sorted(tracks, key=lambda track: track.track_id) for clip_id, tracks in found.items()}


def _check_records(
    clips: Sequence[HeldClip], videos: dict[str, Source], tracks: dict[str, list[HeldTrack]], categories: CategorySet
) -> list[Problem]:
    names = {category.name for category in categories.categories}
    problems = []
    seen: set[str] = set()
    for clip in clips:
        where = f"clip {clip.clip_id}"
        if clip.clip_id in seen:
            problems.append(Problem(where, "clip_id", "is in manifest/clips.jsonl twice"))
        seen.add(clip.clip_id)
        if clip.video_id not in videos:
            message = f"source {clip.video_id!r} is not in manifest/videos.jsonl; avis-data fetch --retry-failed"
            problems.append(Problem(where, "video_id", message))
        for track in tracks.get(clip.clip_id, ()):
            if track.category not in names:
                message = f"{track.category!r} of track {track.track_id} is not in the set {categories.name!r}"
                problems.append(Problem(where, "category", message))
    return problems
