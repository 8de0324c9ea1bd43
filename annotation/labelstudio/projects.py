"""The projects of a round on the server: one per person, or one for anyone, each as our code wants it."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib.resources import files
from pathlib import Path

from avis_data.annotation.labels.records import RoundInfo, RoundKind, RoundProject
from avis_data.annotation.labels.rounds import ANYONE, round_kind
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.configuration import joined_config, label_config
from avis_data.annotation.labelstudio.settings import ServerSettings, read_secrets
from avis_data.errors import ConfigError, DataError
from avis_data.io import sha256_text, write_text
from avis_data.paths import Workspace

__all__ = [
    "ProjectRefused",
    "close_projects",
    "drop_empty_project",
    "ensure_round_project",
    "project_key",
    "read_workspace_id",
    "refresh_projects",
]

logger = logging.getLogger(__name__)

_ID = re.compile(r"[0-9a-f]{16}")
_LONGEST_TITLE = 50
_CLOSED = "<p><b>This round is closed.</b> What is done here now does not count. Ask the lead where you go on.</p>"


class ProjectRefused(DataError):
    """The server does not take one person's project as we want it; others may well be taken."""


def ensure_round_project(
    labels: WorkspaceLabels,
    client: LabelStudio,
    settings: ServerSettings,
    *,
    round_name: str,
    annotator: str | None,
    now: str,
) -> int:
    """Make the project of one person in a round, or bring it up to date, and note it in `round.json`. Gives its id.

    Raises:
        ConfigError: if the round is closed.
        ProjectRefused: if the server does not take the project.
        ToolError: if the server does not answer, or the segmenter does not answer to it.
    """
    kind = round_kind(round_name)
    info = labels.find_round(round_name) or RoundInfo(name=round_name, kind=kind, created_at=now, projects=())
    if info.closed_at:
        raise ConfigError(f"the round {round_name} was closed at {info.closed_at}", hint="avis-data review start")
    known = next((project for project in info.projects if project.annotator == annotator), None)
    title = _title(labels.recipe.name, round_name, annotator)
    ensure = partial(
        client.ensure_project,
        title,
        instructions=_instructions(kind),
        key=project_key(labels.workspace, round_name, annotator),
        project_id=known.project_id if known else None,
    )
    try:
        project_id = ensure(label_config=label_config(kind))
    except DataError as error:
        project_id = _beside_what_was_edited(client, known, label_config(kind), ensure, error)
    made = RoundProject(project_id=project_id, title=title, annotator=annotator)
    if made != known:
        others = [project for project in info.projects if project.annotator != annotator]
        projects = tuple(sorted([*others, made], key=lambda project: project.annotator or ""))
        labels.keep_round(info.model_copy(update={"projects": projects}))
    client.ensure_media(project_id, settings.clips_folder)
    if settings.backend_url:
        client.ensure_backend(project_id, settings.backend_url, read_secrets(labels.workspace).backend_token)
    return project_id


def _beside_what_was_edited(
    client: LabelStudio, known: RoundProject | None, ours: str, ensure: Callable[..., int], refused: DataError
) -> int:
    """A project whose configuration somebody edited, and has annotations by now that ours does not fit.

    No annotation is touched: ours is taken with the controls that were added, else theirs is left as it is. Raises
    ProjectRefused, with what the server said first, if it takes neither.
    """
    there = client.project(known.project_id) if known is not None else None
    if known is None or there is None:
        raise ProjectRefused(refused.args[0], hint=refused.hint) from None
    theirs = there.label_config
    for config, done in (
        (joined_config(ours, theirs), "it is put right, and the controls that were added stay"),
        (theirs, "it is left as it is: look at it in the settings of the project"),
    ):
        with suppress(DataError):
            project_id = ensure(label_config=config)
            message = "%s: its labelling configuration was edited on the server, and annotations need it; %s"
            logger.warning(message, known.title, done)
            return project_id
    raise ProjectRefused(refused.args[0], hint=refused.hint) from None


def refresh_projects(labels: WorkspaceLabels, client: LabelStudio, settings: ServerSettings, *, now: str) -> list[str]:
    """Bring the projects of all open rounds up to date; where there is no round yet, make the first project.

    What is wrong with one is logged, and the others go on: people work in them.

    Returns:
        Their titles.
    """
    open_rounds = [info for info in labels.rounds() if not info.closed_at]
    wanted = [(info.name, project.annotator) for info in open_rounds for project in info.projects]
    if not labels.rounds():
        wanted = [(RoundKind.DRAFT.value, None)]
    for round_name, annotator in wanted:
        try:
            ensure_round_project(labels, client, settings, round_name=round_name, annotator=annotator, now=now)
        except ProjectRefused as error:
            who = annotator or "anyone"
            logger.warning("the project of %s in %s is not up to date: %s", who, round_name, error)
    return [project.title for info in labels.rounds() if not info.closed_at for project in info.projects]


def close_projects(labels: WorkspaceLabels, client: LabelStudio, info: RoundInfo) -> None:
    """Let the projects of a closed round look so on the server; those that were deleted there are passed over."""
    projects = []
    for project in info.projects:
        title = _cut(f"closed · {_title(labels.recipe.name, info.name, project.annotator)}")
        if client.project(project.project_id) is not None:
            client.mark_closed(project.project_id, title=title, instructions=_CLOSED)
        projects.append(project.model_copy(update={"title": title}))
    if tuple(projects) != info.projects:
        labels.keep_round(info.model_copy(update={"projects": tuple(projects)}))


def drop_empty_project(labels: WorkspaceLabels, client: LabelStudio, round_name: str, annotator: str | None) -> None:
    """Remove a project that no clip was ever given to, as the first one of `serve` when clips go to people by name."""
    info = labels.round(round_name)
    found = next((project for project in info.projects if project.annotator == annotator), None)
    if found is not None and next(client.tasks(found.project_id), None) is None:
        client.delete_project(found.project_id)
        others = tuple(project for project in info.projects if project is not found)
        labels.keep_round(info.model_copy(update={"projects": others}))


def project_key(workspace: Workspace, round_name: str, annotator: str | None) -> str:
    """The key by which a project is found again, also when we were killed before we noted its id."""
    path = workspace.annotations / "workspace-id"
    if not path.exists():
        write_text(path, secrets.token_hex(8) + "\n")
    return f"avis-data {read_workspace_id(path)} {round_name} {annotator or 'anyone'}"


def read_workspace_id(path: Path) -> str:
    """What tells the projects of this workspace from those of others. Raises DataError if the file is damaged."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (UnicodeDecodeError, IsADirectoryError) as error:
        text = str(error)
    if not _ID.fullmatch(text):
        hint = "bring it back from a copy: by it the projects on the server are found again"
        raise DataError(f"{path}: no id of a workspace: {text!r:.60}", hint=hint)
    return text


def _title(dataset: str, round_name: str, annotator: str | None) -> str:
    """A title that people find: the round and the person first; of a long name of a dataset only the beginning is left.

    The server wants at most 50 characters.
    """
    first = f"{round_name} · {annotator or ANYONE} · "
    left = _LONGEST_TITLE - len(first)
    return first + dataset if left >= len(dataset) else _cut(f"{first}{dataset[: max(0, left - 1)]}…")


def _cut(title: str) -> str:
    """A title that is still too long ends in a hash, so that no two are the same."""
    if len(title) <= _LONGEST_TITLE:
        return title
    return f"{title[: _LONGEST_TITLE - 7]} {sha256_text(title)[:6]}"


def _instructions(kind: RoundKind) -> str:
    name = "instructions_review.html" if kind is RoundKind.REVIEW else "instructions_label.html"
    return (files("avis_data.annotation.labelstudio") / name).read_text(encoding="utf-8")
