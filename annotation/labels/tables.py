"""The labels of people brought into the tables: masks, `manifest/tracks.jsonl` and `annotations/current.json`.

Derived from the files of the rounds alone, so it can be made again at any time, and a kill in between is mended by the
next run. Labels that a reviewer accepted have the round `accepted` in the tables, all others `draft`; the rows of
imported files stay beside them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from avis_data.annotation.labels.records import LabelledClip, LabelledMask, LabelledTrack, MaskOrigin, Verdict
from avis_data.annotation.labels.rounds import ClipState
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.errors import DataError
from avis_data.features.store import bucket
from avis_data.io import sha256_text
from avis_data.ledger import Done, Ledger, Output
from avis_data.manifest import read_manifest, write_manifest
from avis_data.masks.rle import area, box
from avis_data.masks.table import read_masks, replace_clips
from avis_data.paths import Workspace
from avis_data.pipelines.engine.lock import open_for_work
from avis_data.pipelines.truth_records import ACCEPTED, DRAFT, LabelledTruth
from avis_data.records import MaskRow, State, Track, is_safe_id

__all__ = ["TablesReport", "bring_up_to_date", "changed_clips", "confirm_media", "update_tables"]

_OURS = (ACCEPTED, DRAFT)


@dataclass(frozen=True, kw_only=True)
class TablesReport:
    """What the workspace's labels are."""

    accepted: int
    draft: int
    """Clips with labels that nobody accepted yet."""
    sent_back: int
    """Clips with labels that a reviewer sent back, and that nobody mended yet."""
    dropped: int
    changed: tuple[str, ...]
    """Clips whose entry in the tables is another than before."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {**self.__dict__, "changed": list(self.changed)}


def update_tables(labels: WorkspaceLabels, ledger: Ledger) -> TablesReport:
    """Bring masks table, `manifest/tracks.jsonl` and `annotations/current.json` up to what the rounds say.

    Only clips whose labels changed are read and written. The caller holds the workspace's lock.

    Raises:
        DataError: if a file of a round or a table is damaged.
    """
    workspace, wanted, tracks = labels.workspace, _wanted(labels), list(_tracks(labels))
    changed = _changed(labels.in_tables(), wanted, tracks)
    if changed:
        new_tracks, counts = _write_rows(labels, changed, wanted)
        touched = set(changed)
        merged = [track for track in tracks if track.clip_id not in touched or track.round not in _OURS] + new_tracks
        merged.sort(key=lambda track: (track.clip_id, track.track_id))
        write_manifest(workspace.manifest / "tracks.jsonl", merged)
        entries = {
            clip_id: entry.model_copy(update={"num_tracks": counts.get(clip_id, entry.num_tracks)})
            for clip_id, entry in wanted.items()
        }
        labels.keep_in_tables(entries)
        ledger.commit_done("label", _entry(workspace, entries))
    states = Counter(entry.state for entry in wanted.values())
    return TablesReport(
        accepted=states["accepted"],
        draft=states["draft"],
        sent_back=states["sent back"],
        dropped=states["dropped"],
        changed=tuple(changed),
    )


def bring_up_to_date(workspace: Workspace, *, command: str) -> None:
    """Bring the tables up to what the rounds say, where anything changed; takes the workspace's lock only then.

    Raises:
        BusyError: if another command is at work in the workspace.
        DataError: if a file of a round or a table is damaged.
    """
    if changed_clips(WorkspaceLabels(workspace)):
        with open_for_work(workspace, command) as ledger:
            update_tables(WorkspaceLabels(workspace), ledger)  # read anew: others may have written meanwhile


def changed_clips(labels: WorkspaceLabels) -> list[str]:
    """Clips whose labels `update_tables` would write; nothing is changed."""
    return _changed(labels.in_tables(), _wanted(labels), _tracks(labels))  # one track at a time: there are many


def confirm_media(labels: WorkspaceLabels, clip_ids: Iterable[str]) -> list[str]:
    """Say that the labels of some clips fit the stills and the sound that they have now. Gives those it changed.

    Raises:
        DataError: if a clip has no labels.
    """
    clips, entries, changed = labels.clips, dict(labels.in_tables()), []
    for clip_id in clip_ids:
        if clip_id not in entries or clip_id not in clips:
            raise DataError(f"{clip_id!r} has no labels of people", hint="avis-data review status")
        clip = clips[clip_id]
        now = {"frames_sha256": clip.frames_sha256, "audio_sha256": clip.audio_sha256}
        if entries[clip_id].model_copy(update=now) != entries[clip_id]:
            entries[clip_id] = entries[clip_id].model_copy(update={**now, "confirmed": True})
            changed.append(clip_id)
    if changed:
        labels.keep_in_tables(entries)
    return changed


def _wanted(labels: WorkspaceLabels) -> dict[str, LabelledTruth]:
    """The entry of every clip with labels; the number of its tracks is known only when they are read."""
    before: Mapping[str, LabelledTruth] = labels.in_tables()
    wanted: dict[str, LabelledTruth] = {}
    if not labels.round_names():  # nobody said anything: the clips need not be read
        return wanted
    for place in labels.places():
        answer = place.labels
        if answer is None or (answer.verdict is Verdict.DROP and place.state is not ClipState.DROPPED):
            continue
        media, known = labels.media_of(answer), before.get(place.clip_id)
        is_same = known is not None and known.labels_sha256 == answer.sha256
        wanted[place.clip_id] = LabelledTruth(
            state=_STATES.get(place.state, "draft"),
            round=answer.round,
            labelled_by=place.authors,
            reviewed_by=place.reviewers,
            own_review=place.is_own,
            labels_sha256=answer.sha256,
            num_tracks=known.num_tracks if known and is_same else 0,
            drawn_sha256=answer.drawn_sha256,
            frames_sha256=media.frames_sha256 if media else "",
            audio_sha256=media.audio_sha256 if media else "",
            confirmed=known is not None and known.confirmed and known.drawn_sha256 == answer.drawn_sha256,
        )
    return wanted


_STATES: dict[ClipState, Literal["accepted", "sent back", "dropped"]] = {
    ClipState.ACCEPTED: "accepted",
    ClipState.TO_FIX: "sent back",
    ClipState.FIX: "sent back",
    ClipState.DROPPED: "dropped",
}


def _tracks(labels: WorkspaceLabels) -> Iterator[Track]:
    return read_manifest(labels.workspace.manifest / "tracks.jsonl", Track)


def _changed(
    before: Mapping[str, LabelledTruth], wanted: Mapping[str, LabelledTruth], tracks: Iterable[Track]
) -> list[str]:
    """Clips whose entry is new, or whose tracks are not all there (an import put others in their place)."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for track in tracks:
        if track.round in _OURS:
            found[track.clip_id][track.round] += 1
    changed = []
    for clip_id in sorted(before.keys() | wanted.keys() | found.keys()):
        entry = wanted.get(clip_id)
        expected = Counter({_round(entry): entry.num_tracks} if entry is not None else {})
        if before.get(clip_id) != entry or found[clip_id] != +expected:
            changed.append(clip_id)
    return changed


def _round(entry: LabelledTruth) -> str:
    """The round in the tables. Labels that were dropped or sent back are kept as a draft; no export takes them."""
    return ACCEPTED if entry.state == "accepted" else DRAFT


def _write_rows(
    labels: WorkspaceLabels, changed: Sequence[str], wanted: Mapping[str, LabelledTruth]
) -> tuple[list[Track], dict[str, int]]:
    """Replace our rows of these clips in the masks table; gives their tracks, and how many each clip has."""
    workspace = labels.workspace
    answers = {place.clip_id: place.labels for place in labels.places() if place.clip_id in wanted}
    by_part: dict[str, list[str]] = defaultdict(list)
    for clip_id in changed:
        by_part[bucket(clip_id)].append(clip_id)
    tracks: list[Track] = []
    counts: dict[str, int] = {}
    for _, clip_ids in sorted(by_part.items()):
        rows: dict[str, list[MaskRow]] = {clip_id: [] for clip_id in clip_ids}
        for clip_id, old in read_masks(workspace.masks, clip_ids):
            rows[clip_id] = [row for row in old if row.round not in _OURS]
        for clip_id in clip_ids:
            answer = answers.get(clip_id)
            if answer is not None:
                found, new = _records(labels.labels_of(answer), _round(wanted[clip_id]))
                rows[clip_id] += new
                tracks += found
                counts[clip_id] = len(found)
        replace_clips(workspace.masks, rows)
    return tracks, counts


def _records(labels: LabelledClip, round_name: str) -> tuple[list[Track], list[MaskRow]]:
    tracks, rows = [], []
    for labelled in labels.tracks:
        track = Track(
            track_id=_track_id(labelled.identity),
            clip_id=labels.clip_id,
            category=labelled.category,
            num_sounding=labelled.states.count(State.SOUNDING),
            origin=_track_origin(labelled, labels.round),
            round=round_name,
        )
        tracks.append(track)
        rows += _rows(labels, labelled, track)
    return tracks, rows


def _track_origin(labelled: LabelledTrack, round_name: str) -> str:
    """Whose its masks are: `prelabelled:draft` where machines alone made all of them and nobody changed one."""
    by_machines = labelled.masks and all(mask.origin is MaskOrigin.PRELABELLED for mask in labelled.masks)
    return f"{'prelabelled' if by_machines else 'labelled'}:{round_name}"


def _rows(labels: LabelledClip, labelled: LabelledTrack, track: Track) -> list[MaskRow]:
    masks = {mask.frame: mask for mask in labelled.masks}
    rows = []
    for frame, state in enumerate(labelled.states):
        mask = masks.get(frame)
        rle = mask.rle if mask is not None else None
        row = MaskRow(
            clip_id=labels.clip_id,
            track_id=track.track_id,
            category=track.category,
            frame=frame,
            state=state,
            height=labels.height,
            width=labels.width,
            round=track.round,
            counts=rle.counts if rle is not None else None,
            area_px=area(rle) if rle is not None else 0,
            box_xywh=box(rle) if rle is not None else None,
            origin=_origin(mask) if mask is not None else f"labelled:{labels.round}",
            annotator=mask.annotator if mask is not None else None,
        )
        rows.append(row)
    return rows


def _origin(mask: LabelledMask) -> str:
    """How a mask came to be, with what drew it: `clicked:sam:0123abcd`."""
    origin = mask.origin if mask.engine is None else f"{mask.origin}:{mask.engine}"
    return origin if mask.weights_sha256 is None else f"{origin}:{mask.weights_sha256[:8]}"


def _track_id(identity: str) -> str:
    """The identity itself, or where it cannot be an id (another language, spaces), one made from it."""
    return identity if is_safe_id(identity) else f"track-{sha256_text(identity)[:12]}"


def _entry(workspace: Workspace, entries: Mapping[str, LabelledTruth]) -> Done:
    """What the ledger keeps: the tables as they are since, and the labels that they were made from."""
    paths = [
        *sorted(workspace.masks.glob("part-*.parquet")),
        workspace.manifest / "tracks.jsonl",
        workspace.annotations / "current.json",
    ]
    inputs = {clip_id: entry.labels_sha256 for clip_id, entry in entries.items()}
    states = Counter(entry.state for entry in entries.values())
    return Done(
        item_id="current",
        key=sha256_text("".join(f"{clip_id} {sha256}\n" for clip_id, sha256 in sorted(inputs.items()))),
        facts=dict(sorted(states.items())),
        inputs=inputs,
        outputs=[Output.of_file(path, root=workspace.root) for path in paths],
        wall_s=0.0,
        cpu_s=0.0,
    )
