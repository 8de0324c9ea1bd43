"""How far the projects of all rounds are on the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from avis_data.annotation.labels.records import RoundInfo, RoundProject
from avis_data.annotation.labels.rounds import ANYONE, ClipState, Place
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.settings import connect, read_secrets, read_settings, server_dir
from avis_data.annotation.work.pulled_tasks import PulledTasks
from avis_data.paths import Workspace

__all__ = ["Address", "ProjectStatus", "addresses", "next_steps", "project_statuses", "to_pull"]


_IMPATIENT_S = 0.05
"""First pause before a read is tried again: a status is of no use when it lets people wait."""
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class ProjectStatus:
    """One project on the server."""

    title: str
    round: str
    annotator: str | None
    num_tasks: int
    num_done: int
    num_skipped: int
    num_to_pull: int
    """Tasks that changed since they were pulled last."""
    state: str
    """`open`, `closed`, or `deleted` on the server."""

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


def project_statuses(workspace: Workspace) -> list[ProjectStatus]:
    """How far the projects of all rounds are. Raises ToolError if the server does not answer."""
    client, _ = connect(workspace)
    return [
        _status(client, info, project, PulledTasks(workspace, info.name))
        for info in WorkspaceLabels(workspace).rounds()
        for project in info.projects
    ]


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where somebody finds the tasks that wait for them."""

    annotator: str
    """E-mail, or `anyone`."""
    round: str
    num_open: int
    url: str

    def as_dict(self) -> dict[str, object]:
        """What `--json` prints."""
        return dict(self.__dict__)


def addresses(labels: WorkspaceLabels) -> list[Address]:
    """A page for everybody who has open work in a round; none where no server was named."""
    if not (server_dir(labels.workspace) / "server.json").is_file():
        return []
    url = read_settings(labels.workspace).url
    waiting = Counter((name, place.round) for place in labels.places() for name in place.waits_for)
    return [
        Address(
            annotator=project.annotator or ANYONE,
            round=info.name,
            num_open=waiting[project.annotator or ANYONE, info.name],
            url=f"{url}/projects/{project.project_id}/data",
        )
        for info in labels.rounds()
        for project in info.projects
        if waiting[project.annotator or ANYONE, info.name]
    ]


def to_pull(labels: WorkspaceLabels) -> dict[str, int] | None:
    """How many tasks of each round changed on the server since they were pulled; None where no server was named.

    Raises:
        ToolError: if the server does not answer.
    """
    if not (server_dir(labels.workspace) / "server.json").is_file():
        return None
    settings, secrets = read_settings(labels.workspace), read_secrets(labels.workspace)
    client = LabelStudio(settings.url, secrets.token_in_use, wait_s=_IMPATIENT_S)
    found: Counter[str] = Counter()
    for info in labels.rounds():
        pulled = PulledTasks(labels.workspace, info.name)
        found[info.name] += sum(_status(client, info, project, pulled).num_to_pull for project in info.projects)
    return {name: number for name, number in found.items() if number}


def next_steps(labels: WorkspaceLabels, waiting: Mapping[str, int] | None) -> list[str]:
    """The commands that bring the work on, the most urgent first, each with its reason.

    Args:
        labels: only read.
        waiting: what `to_pull` says.
    """
    states = Counter(place.state for place in labels.places())
    stale = [place.clip_id for place in labels.places() if place.labels is not None and not labels.fits(place.labels)]
    stuck = [
        place.clip_id for place in labels.places() if place.state is ClipState.REVIEW and _has_remarks(labels, place)
    ]
    people = sorted({name for place in labels.places() for name in place.waits_for})
    found = []
    if waiting:
        found.append(f"avis-data annotate pull  # {sum(waiting.values())} task(s) changed on the server")
    if states[ClipState.TO_REVIEW] or states[ClipState.TO_FIX]:
        what = f"{states[ClipState.TO_REVIEW]} clip(s) to review, {states[ClipState.TO_FIX]} to fix"
        found.append(f"avis-data review start  # {what}")
    if states[ClipState.UNLABELLED]:
        found.append(f"avis-data annotate push --round draft  # {states[ClipState.UNLABELLED]} clip(s) nobody has")
    if stale:
        more = " ..." if len(stale) > _SHOWN else ""
        found.append(
            f"avis-data review confirm {' '.join(stale[:_SHOWN])}{more}  # look first: stills or sound are others"
        )
    if stuck:
        found.append(
            f"avis-data review settle {stuck[0]} accept --note WHY  # or wait: {len(stuck)} review(s) with remarks"
        )
    if not found and people:
        found.append(f"wait for {', '.join(people)}, then avis-data annotate pull")
    if not found and states[ClipState.ACCEPTED]:
        found.append(f"avis-data export  # {states[ClipState.ACCEPTED]} clip(s) are accepted, and nothing is open")
    return found


def _has_remarks(labels: WorkspaceLabels, place: Place) -> bool:
    """Whether there is more to know than what the lead said."""
    said = {item.text() for item in labels.decisions(place.round)} if place.round else set()
    return not set(place.remarks) <= said


def _status(client: LabelStudio, info: RoundInfo, project: RoundProject, pulled: PulledTasks) -> ProjectStatus:
    there = client.project(project.project_id) is not None
    num_tasks = num_done = num_skipped = num_to_pull = 0
    for task in client.tasks(project.project_id) if there else ():
        before = pulled.get(task.id)
        num_tasks += 1
        num_done += task.num_done > 0
        num_skipped += task.num_skipped > 0 and not task.num_done
        num_to_pull += before.updated_at != task.updated_at if before else bool(task.num_done or task.num_skipped)
    return ProjectStatus(
        title=project.title,
        round=info.name,
        annotator=project.annotator,
        num_tasks=num_tasks,
        num_done=num_done,
        num_skipped=num_skipped,
        num_to_pull=num_to_pull,
        state="deleted" if not there else "closed" if info.closed_at else "open",
    )
