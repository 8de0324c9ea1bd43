"""The labels of a workspace as one object: what was given to whom, what they said, where every clip stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from avis_data.annotation.labels.records import (
    Answer,
    Assignment,
    ClipTask,
    Decision,
    LabelledClip,
    Media,
    PreLabels,
    RoundInfo,
    RoundKind,
)
from avis_data.annotation.labels.rounds import ClipState, Passage, Place, clip_place, passages_of, round_kind
from avis_data.annotation.labels.store import (
    Assignments,
    labelled_files,
    labelled_path,
    read_answer,
    read_assignments,
    read_labels,
    read_machine_labels,
    read_prelabels,
    read_pushed,
    read_repairs,
    read_round,
    round_dir,
    round_names,
    write_assignments,
    write_labelled,
    write_pushed,
    write_round,
)
from avis_data.categories import category_set
from avis_data.errors import ConfigError, DataError
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.truth_records import (
    ImportedClip,
    LabelledTruth,
    imported_clips,
    labelled_truth,
    write_labelled_truth,
)
from avis_data.recipe import Recipe, load_recipe
from avis_data.records import Clip

__all__ = ["WorkspaceLabels", "check_rate"]


class WorkspaceLabels:
    """All labels of one workspace, opened once for a command and handed on.

    A file is read when it is first asked for, and once. Only masks are read each time that they are asked for: those of
    a whole dataset do not belong in memory. What a command writes it writes through this object, which knows it from
    then on; it holds the workspace's lock meanwhile, and opens the object under that lock.

    Example:
        >>> labels = WorkspaceLabels(Workspace(Path("my-dataset")))  # a folder in which nothing was labelled yet
        >>> labels.round_names(), [place.clip_id for place in labels.places()]
        ([], [])
    """

    def __init__(self, workspace: Workspace) -> None:
        """Nothing is read yet."""
        self.workspace = workspace
        self._recipe: Recipe | None = None
        self._clips: dict[str, Clip] | None = None
        self._rounds: dict[str, RoundInfo | None] = {}
        self._assignments: dict[str, Assignments] = {}
        self._answers: dict[Path, Answer] = {}
        self._places: list[Place] | None = None
        self._in_tables: Mapping[str, LabelledTruth] | None = None
        self._imported: Mapping[str, ImportedClip] | None = None

    @property
    def recipe(self) -> Recipe:
        """The recipe of the workspace. Raises ConfigError if the folder is no workspace."""
        if self._recipe is None:
            self._recipe = load_recipe(self.workspace)
        return self._recipe

    @property
    def categories(self) -> list[str]:
        """The names of the category set, in its order."""
        return [category.name for category in category_set(self.recipe.categories).categories]

    @property
    def clips(self) -> Mapping[str, Clip]:
        """The clips of the manifest, by id."""
        if self._clips is None:
            clips = read_manifest(self.workspace.manifest / "clips.jsonl", Clip)
            self._clips = {clip.clip_id: clip for clip in clips}
        return self._clips

    def chosen_clips(self, names: Sequence[str] | None) -> dict[str, Clip]:
        """The clips of the manifest with these ids, or all, by id.

        Raises:
            ConfigError: if one is not there, there are none at all, or the dataset has not one still a second.
        """
        check_rate(self.recipe)
        missing = [name for name in names or () if name not in self.clips]
        if missing:
            message = f"no clip {missing[0]!r} in the manifest ({len(missing)} not found)"
            raise ConfigError(message, hint="avis-data status")
        if not self.clips:
            raise ConfigError(f"{self.workspace.root}: no clips yet", hint="avis-data run")
        return dict(self.clips) if names is None else {name: self.clips[name] for name in sorted(set(names))}

    def round_names(self) -> list[str]:
        """All rounds that were planned or started, in the order in which clips go through them."""
        return round_names(self.workspace)

    def rounds(self) -> list[RoundInfo]:
        """The rounds that were started, in their order: draft, review, fix, review-2, fix-2, ..."""
        return [info for name in round_names(self.workspace, started=True) if (info := self.find_round(name))]

    def find_round(self, name: str) -> RoundInfo | None:
        """A round; None where it was not started. Raises DataError if its file is damaged."""
        if name not in self._rounds:
            is_started = (round_dir(self.workspace, name) / "round.json").is_file()
            self._rounds[name] = read_round(self.workspace, name) if is_started else None
        return self._rounds[name]

    def round(self, name: str) -> RoundInfo:
        """A round. Raises DataError if it was not started or its file is damaged."""
        return self.find_round(name) or read_round(self.workspace, name)

    def closed_rounds(self) -> set[str]:
        """The names of the rounds in which nothing is given out any more."""
        return {info.name for info in self.rounds() if info.closed_at is not None}

    def assignments(self, name: str) -> list[Assignment]:
        """What was given to whom in a round, by clip, then by person; nothing where the round was never planned.

        Raises:
            DataError: if the file is damaged.
        """
        return list(self._given(name).assignments)

    def decisions(self, name: str) -> tuple[Decision, ...]:
        """What the lead said of clips in a round, the oldest first. Raises DataError if the file is damaged."""
        return self._given(name).decisions

    def told(self, name: str, clip_id: str) -> list[str]:
        """What the lead said of a clip in a round, line by line for its page; of a draft also in drafts before it."""
        is_draft = round_kind(name) is RoundKind.DRAFT
        before = [other for other in self.round_names() if is_draft and round_kind(other) is RoundKind.DRAFT]
        said = [item for other in dict.fromkeys([*before, name]) for item in self.decisions(other)]
        return [" ".join(item.text().split()) for item in said if item.clip_id == clip_id]

    def _given(self, name: str) -> Assignments:
        if name not in self._assignments:
            self._assignments[name] = read_assignments(self.workspace, name)
        return self._assignments[name]

    def answers(self, name: str, clip_id: str | None = None) -> list[Answer]:
        """What people said in a round, without masks; of one clip or of all. Raises DataError if a file is damaged."""
        return [self._answer(path) for path in labelled_files(self.workspace, name, clip_id)]

    def labels_of(self, answer: Answer) -> LabelledClip:
        """All that was said with an answer, masks included. Raises DataError if it is not there any more."""
        path = labelled_path(self.workspace, answer.round, answer.clip_id, answer.annotator)
        if not path.is_file():
            message = f"{answer.clip_id}: no labels of {answer.annotator} in {answer.round}"
            raise DataError(message, hint="avis-data annotate pull")
        return read_labels(path)

    def as_said(self, answer: Answer) -> LabelledClip:
        """The labels as the person left them, before a command put anything right in them."""
        kept = read_repairs(self.workspace, answer.round, answer.clip_id, answer.annotator) if answer.repairs else None
        return self.labels_of(answer) if kept is None else kept.base

    def passages(self, name: str, clip_id: str | None = None) -> Iterator[tuple[str, Passage]]:
        """Clip by clip who was given it in a round and what they said; of one clip or of all."""
        given = [item for item in self.assignments(name) if clip_id in (None, item.clip_id)]
        decisions = [item for item in self.decisions(name) if clip_id in (None, item.clip_id)]
        return passages_of(name, self.find_round(name), given, self.answers(name, clip_id), decisions)

    def clip_passages(self, clip_id: str) -> list[Passage]:
        """The way of one clip through the rounds, also of one that the manifest does not have any more."""
        return [passage for name in self.round_names() for _, passage in self.passages(name, clip_id)]

    def places(self) -> list[Place]:
        """Where every clip of the manifest stands, by clip id. Raises DataError if a file of a round is damaged."""
        if self._places is None:
            passages: dict[str, list[Passage]] = defaultdict(list)
            for name in self.round_names():
                for clip_id, passage in self.passages(name):
                    passages[clip_id].append(passage)
            self._places = [self._place(clip_id, passages.get(clip_id, ())) for clip_id in self._clip_ids()]
        return self._places

    def _place(self, clip_id: str, passages: Sequence[Passage]) -> Place:
        place = clip_place(clip_id, passages)
        if place.labels is None or place.state is ClipState.DROPPED or self.fits(place.labels):
            return place
        remark = f"drawn on other stills or sound than now: look, then avis-data review confirm {clip_id}"
        return replace(place, remarks=(*place.remarks, remark))

    def _clip_ids(self) -> list[str]:
        """Of the manifest, sorted. The clips themselves are held only where there are rounds, which speak of them."""
        if self._clips is not None or self.round_names():
            return sorted(self.clips)
        return sorted({clip.clip_id for clip in read_manifest(self.workspace.manifest / "clips.jsonl", Clip)})

    def strangers(self) -> dict[str, list[Answer]]:
        """Labels of clips that the manifest does not have (any more): the span of a clip is part of its id."""
        found: dict[str, list[Answer]] = {}
        for name in self.round_names():
            for answer in self.answers(name):
                if answer.clip_id not in self.clips:
                    found.setdefault(answer.clip_id, []).append(answer)
        return found

    def pushed(self, name: str, clip_id: str, annotator: str | None) -> ClipTask | None:
        """What a person's page was filled with; None where it was not by us."""
        return read_pushed(self.workspace, name, clip_id, annotator)

    def prelabels(self, clip_id: str) -> PreLabels | None:
        """What is known of a clip before anyone looks; None where there is nothing."""
        return read_prelabels(self.workspace, clip_id)

    def machine_labels(self, clip_id: str) -> PreLabels | None:
        """What machines alone made of a clip; None where they made nothing."""
        return read_machine_labels(self.workspace, clip_id)

    def in_tables(self) -> Mapping[str, LabelledTruth]:
        """Whose labels each clip has in the tables, as `annotations/current.json` says. Raises DataError if damaged."""
        if self._in_tables is None:
            self._in_tables = labelled_truth(self.workspace)
        return self._in_tables

    def imported(self) -> Mapping[str, ImportedClip]:
        """The clips that have truth from a file. Raises DataError if a record of an import is damaged."""
        if self._imported is None:
            self._imported = imported_clips(self.workspace)
        return self._imported

    def media_of(self, said: Answer | LabelledClip) -> Media | None:
        """The stills and the sound that labels fit: what they were drawn on, or what somebody confirmed since."""
        entry = self.in_tables().get(said.clip_id)
        if entry is not None and entry.confirmed and entry.drawn_sha256 == said.drawn_sha256:
            return Media(frames_sha256=entry.frames_sha256, audio_sha256=entry.audio_sha256)
        return said.media

    def fits(self, said: Answer) -> bool:
        """Whether labels were drawn on the stills and the sound that their clip has now, or somebody confirmed them."""
        return self.media_of(said) == Media.of(self.clips[said.clip_id])

    def give(self, name: str, new: Iterable[Assignment]) -> list[Assignment]:
        """Note in a round what is given to whom; a clip that a person was given before stays as it was noted.

        Returns:
            All assignments of the round.
        """
        before = self.assignments(name)
        known = {(item.clip_id, item.annotator): item for item in [*new, *before]}
        merged = [known[key] for key in sorted(known, key=lambda key: (key[0], key[1] or ""))]
        self.give_anew(name, merged)
        return merged

    def give_anew(self, name: str, given: Sequence[Assignment]) -> None:
        """Note in a round what is given to whom, in place of all that was noted before."""
        ordered = sorted(given, key=lambda item: (item.clip_id, item.annotator or ""))
        if ordered != self.assignments(name):
            self._keep_given(name, Assignments(assignments=tuple(ordered), decisions=self.decisions(name)))

    def decide(self, name: str, decision: Decision) -> None:
        """Note in a round what the lead says of a clip; what they said last is not noted twice."""
        given = self._given(name)
        last = next((item for item in reversed(given.decisions) if item.clip_id == decision.clip_id), None)
        if last is not None and last.model_copy(update={"at": decision.at}) == decision:
            return
        self._keep_given(name, given.model_copy(update={"decisions": (*given.decisions, decision)}))

    def _keep_given(self, name: str, given: Assignments) -> None:
        write_assignments(self.workspace, name, given.assignments, given.decisions)
        self._assignments[name], self._places = given, None

    def keep_round(self, info: RoundInfo) -> None:
        """Keep a round's file."""
        write_round(self.workspace, info)
        self._rounds[info.name], self._places = info, None

    def keep_pushed(self, name: str, task: ClipTask, annotator: str | None) -> None:
        """Keep what a person's page is filled with, before the server gets it."""
        write_pushed(self.workspace, name, task, annotator)

    def keep_labelled(self, labelled: LabelledClip) -> None:
        """Keep what one person said of a clip in a round, in place of what was made from an earlier state."""
        write_labelled(self.workspace, labelled)
        self._forget(labelled.round, labelled.clip_id, labelled.annotator)

    def withdraw(self, answer: Answer) -> None:
        """Take away labels that somebody deleted; what was received of them stays."""
        labelled_path(self.workspace, answer.round, answer.clip_id, answer.annotator).unlink()
        self._forget(answer.round, answer.clip_id, answer.annotator)

    def keep_in_tables(self, entries: Mapping[str, LabelledTruth]) -> None:
        """Keep whose labels each clip has in the tables."""
        write_labelled_truth(self.workspace, entries)
        self._in_tables = dict(entries)

    def _answer(self, path: Path) -> Answer:
        if path not in self._answers:
            self._answers[path] = read_answer(path)
        return self._answers[path]

    def _forget(self, name: str, clip_id: str, annotator: str) -> None:
        self._answers.pop(labelled_path(self.workspace, name, clip_id, annotator), None)
        self._places = None


def check_rate(recipe: Recipe) -> None:
    """Raise ConfigError if the dataset has not one still a second: the page's timeline counts whole seconds."""
    fps = recipe.extract.fps
    if fps != 1:
        raise ConfigError(
            f"labelling goes second by second, this dataset has {fps:g} stills a second (extract.fps in recipe.yaml)",
            hint="avis-data import --format ytvis TRUTH takes truth that was made elsewhere",
        )
