"""What a person's page holds while they click: the draft that Label Studio saved, once it knows this very click.

A click comes with the last draft that was saved, and the page saves some time after each change (0.3 s on
a server that we installed, five seconds elsewhere). An answer replaces a whole mask, so one that was made from an older
draft would undo what the hand did in between. A draft that holds the pending click itself is new enough.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.annotation.labelstudio.settings import read_secrets, read_settings
from avis_data.errors import AvisError
from avis_data.paths import Workspace

__all__ = ["Drafts", "PageNow", "PageRegions", "knows", "no_drafts", "owner_name", "saved_drafts", "task_is_there"]

logger = logging.getLogger(__name__)

PageRegions = Sequence[Mapping[str, object]]
"""The regions of a page."""


class PageNow(NamedTuple):
    """A page, and whose it is."""

    regions: PageRegions
    owner: str
    """As the server names people; empty: not known."""


Drafts = Callable[[int, Collection[str]], PageNow | None]
"""Of a task, by its id: the draft that holds regions of these ids; None if none came in time."""

_PATIENCE_S = 6.0
"""A page of a server that we did not install saves after five seconds."""
_PAUSE_S = 0.1


def knows(regions: PageRegions, ids: Collection[str]) -> bool:
    """Whether a page's regions hold all of these."""
    return set(ids) <= {str(region.get("id")) for region in regions}


def owner_name(user: object) -> str:
    """Whose draft it is, out of what the server says."""
    return user if isinstance(user, str) else ""


def no_drafts(task_id: int, ids: Collection[str]) -> PageNow | None:
    """For a service without a server: what comes with the click is all that is known."""
    return None


def saved_drafts(workspace: Workspace, *, patience_s: float = _PATIENCE_S) -> Drafts:
    """How to ask the server of a workspace for drafts; it answers None where no server is known."""

    def newest(task_id: int, ids: Collection[str]) -> PageNow | None:
        try:
            client = LabelStudio(read_settings(workspace).url, read_secrets(workspace).token_in_use)
            deadline = time.monotonic() + patience_s
            while True:
                for draft in client.drafts(task_id):
                    if draft.result and knows(draft.result, ids):
                        return PageNow(draft.result, owner_name(draft.user))
                if time.monotonic() > deadline:
                    logger.warning("task=%d: the page has not saved what it holds, an older state is taken", task_id)
                    return None
                time.sleep(_PAUSE_S)
        except AvisError as error:
            logger.warning("task=%d: the page's draft cannot be asked for: %s", task_id, error)
            return None

    return newest


def task_is_there(workspace: Workspace) -> Callable[[int], bool]:
    """How to ask the server of a workspace whether it has a task (still); who cannot be asked is taken to have it."""

    def asked(task_id: int) -> bool:
        try:
            return LabelStudio(read_settings(workspace).url, read_secrets(workspace).token_in_use).has_task(task_id)
        except AvisError:
            return True

    return asked
