"""What the lead does beside the rounds: give open work to somebody else, reopen, settle, comment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import partial

from avis_data.annotation.labels.records import Assignment, ClipTask, Decision, RoundKind, Verdict
from avis_data.annotation.labels.rounds import ANYONE, ClipState, Passage, Place, round_kind
from avis_data.annotation.labels.what_is_heard import Listeners, find_listeners
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.server_records import ServerTask
from avis_data.annotation.labelstudio.settings import ServerSettings, read_secrets, read_settings, server_dir
from avis_data.annotation.labelstudio.tasks import headline, with_lines
from avis_data.annotation.work.pull import pull_rounds
from avis_data.annotation.work.push import PushReport, push_round
from avis_data.annotation.work.push_draft import draft_start
from avis_data.annotation.work.review_start import review_page
from avis_data.errors import ConfigError

__all__ = ["AssignReport", "Moved", "assign_anew", "comment", "reopen", "settle", "tell_page"]

_GIVEN_AWAY = "This clip was given to"
_IMPATIENT_S = 0.05
"""First pause before a read is tried again: what the lead said is kept, so nobody has to wait for the server."""


@dataclass(frozen=True, kw_only=True)
class Moved:
    """One task that was given to somebody else."""

    round: str
    clip_id: str
    before: str | None
    """E-mail; None: anyone."""
    after: str


@dataclass(frozen=True, kw_only=True)
class AssignReport:
    """What was given to others."""

    moved: tuple[Moved, ...]
    left: dict[str, str]
    """Clips that stay where they are, with the reason."""
    pushed: tuple[PushReport, ...]
    num_kept: int
    """Tasks on the server that somebody had begun: they stay there and say that they were given to another."""
    without_account: tuple[str, ...]
    invitation: str | None
    """Where these make their account."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return {
            "moved": [item.__dict__ for item in self.moved],
            "left": self.left,
            "projects": [part.as_dict() for part in self.pushed],
            "begun": self.num_kept,
            "without_account": list(self.without_account),
            "invitation": self.invitation,
        }


def assign_anew(
    labels: WorkspaceLabels,
    client: LabelStudio,
    settings: ServerSettings,
    *,
    to: Sequence[str],
    person: str | None = None,
    clip_ids: Sequence[str] = (),
) -> AssignReport:
    """Give open tasks of any round to other people: those of one person, of some clips, or both.

    What people submitted is pulled first; only what waits then is given to others, each to the one of `to` with the
    least open work who may have it. On the server a task that nobody began is removed; one that somebody began stays,
    and says that it is another's now. Killed at any moment, the same call completes it.

    Args:
        labels: of a workspace that the caller has locked.
        client: of the server.
        settings: how that server sees the clips.
        to: e-mails.
        person: whose tasks, e-mail, or `anyone`; None: whoever has the clips.
        clip_ids: None at all: all of that person.

    Raises:
        ConfigError: if a clip is not there.
        ToolError: if the server does not answer.
    """
    missing = sorted(set(clip_ids) - set(labels.clips))
    if missing:
        raise ConfigError(f"no clip {missing[0]!r} in the manifest ({len(missing)} not found)", hint="avis-data status")
    pull_rounds(labels, client)
    moved, left = _plan(labels, to, person, set(clip_ids))
    for name in sorted({item.round for item in moved}):
        now = {(item.clip_id, item.before): item.after for item in moved if item.round == name}
        given = [
            item.model_copy(update={"annotator": now.get((item.clip_id, item.annotator), item.annotator)})
            for item in labels.assignments(name)
        ]
        labels.give_anew(name, given)
    open_rounds = [name for name in labels.round_names() if name not in labels.closed_rounds()]
    pushed = [part for name in open_rounds for part in _push(labels, client, settings, name, to)]
    num_kept = sum(_show(labels, client, name, labels.clips) for name in open_rounds)
    strangers = tuple(sorted(set(to) - client.emails()))
    invitation = client.invitation() if strangers else None
    return AssignReport(
        moved=tuple(moved),
        left=left,
        pushed=tuple(pushed),
        num_kept=num_kept,
        without_account=strangers,
        invitation=invitation,
    )


def _plan(
    labels: WorkspaceLabels, to: Sequence[str], person: str | None, clip_ids: set[str]
) -> tuple[list[Moved], dict[str, str]]:
    load = Counter(name for place in labels.places() for name in place.waits_for)
    moved: list[Moved] = []
    left: dict[str, str] = {}
    for place in labels.places():
        if clip_ids and place.clip_id not in clip_ids:
            continue
        passage = next((item for item in reversed(labels.clip_passages(place.clip_id)) if not item.is_closed), None)
        waiting = [item for item in passage.given if _waits(place, item)] if passage is not None else []
        mine = [item for item in waiting if person in (None, item.annotator or ANYONE) and item.annotator not in to]
        if passage is None or not mine:
            if clip_ids and not any(item.annotator in to for item in waiting):
                left[place.clip_id] = f"it waits for {' and '.join(place.waits_for) or 'nobody'} ({place.state})"
            continue
        for item in mine:
            after = _taker(passage, place, item, to, load)
            if after is None:
                left[place.clip_id] = f"none of {', '.join(to)} may have it: they have it, or labelled it"
                continue
            load[after] += 1
            load[item.annotator or ANYONE] -= 1
            moved.append(Moved(round=passage.round, clip_id=place.clip_id, before=item.annotator, after=after))
    return moved, left


def _waits(place: Place, item: Assignment) -> bool:
    at_work = place.state in (ClipState.DRAFT, ClipState.REVIEW, ClipState.FIX)
    return at_work and (item.annotator or ANYONE) in place.waits_for


def _taker(passage: Passage, place: Place, item: Assignment, to: Sequence[str], load: Counter[str]) -> str | None:
    taken = {other.annotator for other in passage.given}
    authors = set(place.authors) if passage.kind is RoundKind.REVIEW and not item.allow_own else set()
    able = [name for name in to if name not in taken | authors]
    return min(able, key=lambda name: (load[name], to.index(name)), default=None)


def _push(
    labels: WorkspaceLabels, client: LabelStudio, settings: ServerSettings, name: str, to: Sequence[str]
) -> list[PushReport]:
    """The tasks of some people in a round, as far as the server lacks them."""
    is_draft = round_kind(name) is RoundKind.DRAFT
    listeners = find_listeners() if is_draft else Listeners()
    parts = []
    for person in to:
        own = {item.clip_id: item for item in labels.assignments(name) if item.annotator == person}
        if not own:
            continue
        draft = partial(draft_start, labels, name, person, listeners)
        complete = draft if is_draft else partial(review_page, labels, name, own)
        parts.append(
            push_round(
                labels,
                client,
                settings,
                round_name=name,
                annotator=person,
                clips=[ClipTask(clip_id=clip_id) for clip_id in own],
                complete=complete,
            )
        )
    return parts


def _show(labels: WorkspaceLabels, client: LabelStudio, name: str, clip_ids: Container[str]) -> int:
    """Let the tasks of some clips in a round be as the lead decided; what people drew in them stays.

    Tasks of people who do not have them any more are removed; those that somebody began stay and say whose they are.
    The other pages tell what the lead said.

    Returns:
        How many stay because they were begun.
    """
    info, kept = labels.find_round(name), 0
    people: dict[str, list[str | None]] = {}
    for item in labels.assignments(name):
        people.setdefault(item.clip_id, []).append(item.annotator)
    for project in info.projects if info is not None else ():
        if client.project(project.project_id) is None:
            continue
        for task in client.tasks(project.project_id):
            now = people.get(task.clip_id, [])
            if not now or task.clip_id not in clip_ids:
                continue
            if project.annotator in now:
                told = _page_of(labels, name, project.annotator, task)
            elif client.is_begun(task):
                kept += 1
                who = " and ".join(person or ANYONE for person in now)
                told = {"headline": f"{_GIVEN_AWAY} {who}: what is said here does not count."}
            else:
                client.delete_task(task.id)
                continue
            if any(task.data.get(field) != text for field, text in told.items()):
                client.change_data(task, told)
    return kept


def _page_of(labels: WorkspaceLabels, name: str, annotator: str | None, task: ServerTask) -> dict[str, str]:
    """What a page shows that is (again) the person's own."""
    told = {"hint": with_lines(str(task.data.get("hint", "")), labels.told(name, task.clip_id))}
    if str(task.data.get("headline")).startswith(_GIVEN_AWAY):
        start = labels.pushed(name, task.clip_id, annotator) or ClipTask(clip_id=task.clip_id)
        told["headline"] = headline(labels.clips[task.clip_id], start, name)
    return told


def tell_page(labels: WorkspaceLabels, clip_id: str) -> None:
    """Let the page of a clip on the server show what the lead said of it; an open one does when it is loaded anew.

    Nothing is asked where no server was named, or where the round is closed.

    Raises:
        ToolError: if the server does not answer; the same call completes it.
    """
    name = _place(labels, clip_id).round
    has_server = (server_dir(labels.workspace) / "server.json").is_file()
    if has_server and name is not None and name not in labels.closed_rounds():
        settings, secrets = read_settings(labels.workspace), read_secrets(labels.workspace)
        client = LabelStudio(settings.url, secrets.token_in_use, wait_s=_IMPATIENT_S)
        _show(labels, client, name, {clip_id})


def reopen(labels: WorkspaceLabels, clip_id: str, *, note: str, by: str, at: str) -> Place:
    """Let a clip that was accepted or dropped be reviewed once more; its labels do not count as accepted until then.

    The same words again change nothing; that holds for `settle` and `comment` too.

    Raises:
        ConfigError: if it is not accepted or dropped.
    """
    place = _place(labels, clip_id)
    decision = Decision(clip_id=clip_id, kind="reopen", note=note, by=by, at=at)
    if _is_said(labels, place, decision):
        return place
    if place.round is None or place.state not in (ClipState.ACCEPTED, ClipState.DROPPED):
        raise ConfigError(f"{clip_id} is neither accepted nor dropped ({place.state})", hint="avis-data review status")
    labels.decide(place.round, decision)
    return _place(labels, clip_id)


def settle(
    labels: WorkspaceLabels, clip_id: str, verdict: Verdict, *, of: str | None, note: str, by: str, at: str
) -> Place:
    """End a review by the lead's word: reviewers who disagree, or who do not answer what was asked back.

    Args:
        labels: of a workspace that the caller has locked.
        clip_id: of a clip in review.
        verdict: accept, send back or drop clip.
        of: e-mail of the reviewer whose labels count; None: who gave that verdict, or the only one who said anything.
        note: for the next person, and for the record.
        by: who decides.
        at: when.

    Raises:
        ConfigError: if the clip is not in review, or it is not clear whose labels are meant.
    """
    place = _place(labels, clip_id)
    said = Decision(clip_id=clip_id, kind="settle", verdict=verdict, of=of, note=note, by=by, at=at)
    if place.state is not ClipState.REVIEW and _is_said(labels, place, said):
        return place
    passage = labels.clip_passages(clip_id)[-1] if place.state is ClipState.REVIEW else None
    if passage is None or not passage.answers:
        why = "nobody said anything yet" if passage is not None else f"it is not in review ({place.state})"
        raise ConfigError(f"{clip_id}: {why}", hint="avis-data review status, or avis-data review reopen")
    outcome = {Verdict.ACCEPT: (Verdict.ACCEPT, Verdict.FIXED)}.get(verdict, (verdict,))
    answers = sorted(passage.answers, key=lambda answer: (answer.updated_at, answer.annotator))
    agreeing = [answer.annotator for answer in answers if answer.verdict in outcome]
    known = [answer.annotator for answer in answers]
    found = of or (agreeing[-1] if agreeing else known[0] if len(known) == 1 else None)
    if found not in known:
        raise ConfigError(f"{clip_id}: whose labels? There are those of {' and '.join(known)}", hint=f"--of {known[0]}")
    labels.decide(passage.round, said.model_copy(update={"of": found}))
    return _place(labels, clip_id)


def comment(labels: WorkspaceLabels, clip_id: str, *, note: str, by: str, at: str) -> Place:
    """Say something of a clip: `review status` and `history` show it, its page (`tell_page`), and the next one."""
    place = _place(labels, clip_id)
    if place.round is None:
        raise ConfigError(f"{clip_id} was not given to anybody yet", hint="avis-data annotate push --round draft")
    labels.decide(place.round, Decision(clip_id=clip_id, kind="comment", note=note, by=by, at=at))
    return _place(labels, clip_id)


def _is_said(labels: WorkspaceLabels, place: Place, decision: Decision) -> bool:
    """Whether it is what was decided last: a command that was killed is given again."""
    said = [item for item in labels.decisions(place.round) if item.clip_id == place.clip_id] if place.round else []
    if not said:
        return False
    known = {"at": said[-1].at} | ({} if decision.of else {"of": said[-1].of})
    return decision.model_copy(update=known) == said[-1]


def _place(labels: WorkspaceLabels, clip_id: str) -> Place:
    found = next((place for place in labels.places() if place.clip_id == clip_id), None)
    if found is None:
        raise ConfigError(f"no clip {clip_id!r} in the manifest", hint="avis-data status")
    return found
