"""Talking with a Label Studio server: the few calls we need. The only module that knows `label_studio_sdk`.

Its records are not used: they would change what the server says, and that is kept as received.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar, cast

from avis_data.annotation.labelstudio.server_records import (
    Account,
    ById,
    DraftResult,
    Imported,
    Invitation,
    ProjectInList,
    ServerAnnotation,
    ServerProject,
    ServerTask,
    Store,
    WholeTask,
    all_of,
    page_of,
    parsed,
    refusal_words,
)
from avis_data.errors import DataError, ToolError
from avis_data.extras import need_extra

__all__ = ["LabelStudio", "ServerFault"]

logger = logging.getLogger(__name__)

Read = TypeVar("Read")
_PAGE_TASKS = 200
_MOST_PAGES = 10_000
_READ_TRIES = 5
_TIMEOUT_S = 120.0


class ServerFault(ToolError):
    """One request came to nothing: 5xx or no answer, also after some patience; or not Label Studio's answer."""


class _Answer(Protocol):
    @property
    def status_code(self) -> int: ...

    @property
    def text(self) -> str: ...

    def json(self) -> object: ...


class _Http(Protocol):
    """What the package sends requests by; it adds the token."""

    def request(
        self,
        path: str,
        *,
        method: str,
        params: object = None,
        json: object = None,
        request_options: Mapping[str, int],
    ) -> _Answer: ...


class _Wrapper(Protocol):
    httpx_client: _Http


class _Sdk(Protocol):
    _client_wrapper: _Wrapper


class _Numbered(Protocol):
    """What a list holds."""

    @property
    def id(self) -> int: ...


Entry = TypeVar("Entry", bound=_Numbered)


class LabelStudio:
    """A server and the account of a token (a legacy token or a personal access token)."""

    def __init__(self, url: str, token: str, *, wait_s: float = 0.5, sleep: Callable[[float], None] = time.sleep):
        """Nothing is asked yet.

        Args:
            url: as `http://127.0.0.1:8080`.
            token: of the account that the projects belong to.
            wait_s: pause before a read is tried again after the server broke down; doubles.
            sleep: how to wait.

        Raises:
            ToolError: if the SDK is not installed.
        """
        need_extra("annotate", "label_studio_sdk", what="Label Studio")
        from label_studio_sdk import LabelStudio as Sdk
        from label_studio_sdk.core.api_error import ApiError

        self.url = url.rstrip("/")
        open_client = cast(Callable[..., _Sdk], Sdk)
        try:
            sdk = open_client(base_url=self.url, api_key=token, timeout=_TIMEOUT_S)
        except ApiError as error:  # it looks into a personal access token
            hint = "make a new token: Account & Settings in Label Studio"
            raise ToolError(f"the token for {self.url} is not valid: {error.body!s:.200}", hint=hint) from None
        self._http = sdk._client_wrapper.httpx_client
        self._wait_s, self._sleep = wait_s, sleep
        self._emails: dict[int, str] = {}

    def whoami(self) -> str:
        """E-mail of the account. Raises ToolError if the server does not answer, or not to this token."""
        return self._read("api/current-user/whoami", partial(parsed, Account)).email

    def ensure_project(
        self, title: str, *, label_config: str, instructions: str, key: str, project_id: int | None = None
    ) -> int:
        """Make a project, or bring the one that was made for the same purpose up to date. Gives its id.

        Args:
            title: for people, 3 to 50 characters.
            label_config: XML. If the server holds another one it is put right.
            instructions: HTML, shown before labelling.
            key: says what the project is for; kept as its description, by which it is found again.
            project_id: where it is thought to be.
        """
        wanted: dict[str, object] = {
            "title": title,
            "description": key,
            "label_config": label_config,
            "expert_instruction": instructions,
            "show_instruction": True,
            "show_skip_button": True,
            "enable_empty_annotation": True,
            "show_collab_predictions": True,
            "evaluate_predictions_automatically": False,
            "maximum_annotations": 1,
            "sampling": "Sequential sampling",
        }
        found = self._find_project(key, project_id)
        if found is None:
            return self._write("POST", "api/projects/", wanted).id
        changed = {name: value for name, value in wanted.items() if found.settings.get(name) != value}
        if changed:
            self._write("PATCH", f"api/projects/{found.id}/", changed)
        return found.id

    def project(self, project_id: int) -> ServerProject | None:
        """A project; None if it is not there (any more)."""
        return self._find(f"api/projects/{project_id}/", ServerProject.of)

    def mark_closed(self, project_id: int, *, title: str, instructions: str) -> None:
        """Let a project look closed: grey, with these words. The community edition cannot keep people out of it."""
        body = {"title": title, "expert_instruction": instructions, "show_instruction": True, "color": "#757575"}
        self._write("PATCH", f"api/projects/{project_id}/", body)

    def show_predictions(self, project_id: int, model_version: str) -> None:
        """Fill new annotations from the predictions of this name."""
        self._write("PATCH", f"api/projects/{project_id}/", {"model_version": model_version})

    def delete_project(self, project_id: int) -> None:
        """Remove a project with all in it."""
        self._remove(f"api/projects/{project_id}/")

    def ensure_media(self, project_id: int, folder: str) -> None:
        """Let a project's members see the files below a folder, a path on the server's machine."""
        stores = self._read("api/storages/localfiles/", all_of(partial(parsed, Store)), {"project": project_id})
        if not any(store.path == folder for store in stores):
            body = {"project": project_id, "path": folder, "title": "clips", "use_blob_urls": False}
            try:
                self._write("POST", "api/storages/localfiles/", body)
            except DataError as error:
                hint = "avis-data annotate serve; of a server elsewhere: --clips-folder, as that machine sees it"
                raise DataError(f"{folder} cannot be shown: {error.args[0]}", hint=hint) from None

    def ensure_backend(self, project_id: int, url: str, token: str) -> None:
        """Connect a project with the segmenter; one connection, whatever there was before.

        The server may answer 403 and have made the connection all the same, so the list decides.
        """
        wanted: dict[str, object] = {
            "url": url,
            "title": "avis-data segmenter",
            "is_interactive": True,
            "auth_method": "BASIC_AUTH",
            "basic_auth_user": "avis-data",
            "basic_auth_pass": token,
            "timeout": 100,
        }
        found = [entry.id for entry in self._read("api/ml/", all_of(partial(parsed, ById)), {"project": project_id})]
        for double in found[1:]:
            self._remove(f"api/ml/{double}")
        if found:
            self._write("PATCH", f"api/ml/{found[0]}", wanted | {"project": project_id})
        else:
            self._write("POST", "api/ml/", wanted | {"project": project_id})

    def import_tasks(self, project_id: int, tasks: Sequence[Mapping[str, object]]) -> int:
        """Add tasks, `{"data": ..., "predictions": [...]}`, all of them or none. Gives how many.

        Not tried again by itself: after a break-off the server may have taken them. Ask it what it holds.
        """
        form = partial(parsed, Imported)
        return self._said("POST", f"api/projects/{project_id}/import", list(tasks), form, good=(200, 201)).task_count

    def tasks(self, project_id: int) -> Iterator[ServerTask]:
        """The tasks of a project by id, without their annotations; page by page, each once."""
        asked = {"project": project_id, "fields": "task_only", "ordering": "id"}
        return self._pages("api/tasks/", "tasks", partial(parsed, ServerTask), asked)

    def has_task(self, task_id: int) -> bool:
        """Whether a task is there (still)."""
        return self._find(f"api/tasks/{task_id}/annotations/", all_of(partial(parsed, ById))) is not None

    def change_data(self, task: ServerTask, changes: Mapping[str, object]) -> None:
        """Let a task's page show something else; what people drew in it stays."""
        self._write("PATCH", f"api/tasks/{task.id}/", {"data": {**task.data, **changes}})

    def delete_task(self, task_id: int) -> None:
        """Remove a task with all in it."""
        self._remove(f"api/tasks/{task_id}/")

    def annotations(self, task_id: int, *, skipped: bool = False) -> list[ServerAnnotation] | None:
        """The annotations of a task by id, as received; None if there is no such task (any more).

        Args:
            task_id: of the task.
            skipped: whether somebody skipped it. The server's list leaves those out, so they are asked for singly (it
                has them in the whole task too, but there in another form).
        """
        entries = self._find(f"api/tasks/{task_id}/annotations/", all_of(ServerAnnotation.of))
        if entries is None:
            return None
        if skipped:
            whole = self._find(f"api/tasks/{task_id}/", partial(parsed, WholeTask))
            ids = [entry.id for entry in whole.annotations if entry.was_cancelled] if whole is not None else []
            entries += [self._read(f"api/annotations/{number}/", ServerAnnotation.of) for number in ids]
        return sorted(entries, key=lambda entry: entry.id)

    def drafts(self, task_id: int) -> list[DraftResult]:
        """What people's pages have saved of a task without submitting it."""
        return self._read(f"api/tasks/{task_id}/drafts", all_of(partial(parsed, DraftResult)))

    def is_begun(self, task: ServerTask) -> bool:
        """Whether somebody worked on a task; without submitting it counts too (lists of tasks show own drafts only)."""
        return bool(task.num_done or task.num_skipped or self.drafts(task.id))

    def annotate(self, task_id: int, result: Sequence[Mapping[str, object]], **more: object) -> int:
        """Add an annotation as this account, for scripted annotators; gives its id."""
        body = {"result": list(result), **more}
        return self._write("POST", f"api/tasks/{task_id}/annotations/", body).id

    def email(self, user_id: int) -> str:
        """E-mail of an account."""
        if user_id not in self._emails:
            self._emails |= {account.id: account.email for account in self._accounts()}
        return self._emails.get(user_id, f"user-{user_id}@unknown")

    def emails(self) -> set[str]:
        """E-mails of all accounts."""
        return {account.email for account in self._accounts()}

    def invitation(self) -> str:
        """Where people make their account."""
        link = self._read("api/invite", partial(parsed, Invitation)).invite_url
        return link if link.startswith("http") else self.url + link

    def _accounts(self) -> list[Account]:
        return self._read("api/users/", all_of(partial(parsed, Account)))

    def _find_project(self, key: str, project_id: int | None) -> ServerProject | None:
        """The project that was made for a purpose, where there is one."""
        if project_id is not None:
            found = self.project(project_id)
            if found is not None and found.settings.get("description") == key:
                return found
        form = partial(parsed, ProjectInList)
        for entry in self._pages("api/projects/", "results", form, {"include": "id,description"}):
            if entry.description == key:
                return self._read(f"api/projects/{entry.id}/", ServerProject.of)
        return None

    def _pages(
        self, path: str, field: str, form: Callable[[object], Entry], asked: Mapping[str, object]
    ) -> Iterator[Entry]:
        """The entries of all pages, each once, until there are no more."""
        seen: set[int] = set()
        for page in range(1, _MOST_PAGES + 1):
            read = partial(page_of, field=field, form=form)
            found = self._find(path, read, {**asked, "page": page, "page_size": _PAGE_TASKS})
            entries, total = found or ([], 0)
            fresh = {entry.id: entry for entry in entries if entry.id not in seen}
            seen |= set(fresh)
            yield from fresh.values()
            if not entries or (len(entries) < _PAGE_TASKS and total <= len(seen)):
                return
            if not fresh:
                raise self._unknown("GET", path, f"page {page} holds the same as pages before it")
        raise self._unknown("GET", path, f"there is no end after {_MOST_PAGES} pages")

    def _read(self, path: str, form: Callable[[object], Read], asked: Mapping[str, object] | None = None) -> Read:
        return self._said("GET", path, asked, form, good=(200,))

    def _find(
        self, path: str, form: Callable[[object], Read], asked: Mapping[str, object] | None = None
    ) -> Read | None:
        """What is there; None where Label Studio itself says that there is no such thing."""
        answer = self._ask("GET", path, asked, good=(200, 404))
        if answer.status_code == 404:
            self._form("GET", path, answer, refusal_words)
            return None
        return self._form("GET", path, answer, form)

    def _remove(self, path: str) -> None:
        """Remove something; it may be gone already."""
        answer = self._ask("DELETE", path, None, good=(204, 404))
        if answer.status_code == 404:
            self._form("DELETE", path, answer, refusal_words)

    def _write(self, method: str, path: str, body: object) -> ById:
        return self._said(method, path, body, partial(parsed, ById), good=(200, 201))

    def _said(
        self, method: str, path: str, body: object, form: Callable[[object], Read], *, good: tuple[int, ...]
    ) -> Read:
        return self._form(method, path, self._ask(method, path, body, good=good), form)

    def _form(self, method: str, path: str, answer: _Answer, form: Callable[[object], Read]) -> Read:
        """An answer in the form that we need. Raises ServerFault where it has another: something else answered."""
        try:
            return form(answer.json())
        except (ValueError, RecursionError):  # no JSON, no text, numbers of thousands of digits
            said = answer.text.strip()
            raise self._unknown(method, path, f"{said!r:.60} is not JSON" if said else "it is empty") from None
        except DataError as error:
            raise self._unknown(method, path, error.args[0]) from None

    def _unknown(self, method: str, path: str, why: str) -> ServerFault:
        hint = "open that address in a browser: is it Label Studio, or a sign-in page or a proxy before it?"
        return ServerFault(f"{self.url}/{path} answers {method} not as Label Studio does: {why}", hint=hint)

    def _ask(self, method: str, path: str, body: object, *, good: tuple[int, ...]) -> _Answer:
        """One request; reads are tried again when the server breaks down, for as long as it takes to restart it."""
        wait_s = self._wait_s
        for left in reversed(range(_READ_TRIES if method == "GET" else 1)):
            try:
                return self._once(method, path, body, good)
            except ServerFault as fault:
                if not left:
                    raise
                logger.info("%s; again in %.1f s", fault, wait_s)
                self._sleep(wait_s)
                wait_s *= 2
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: object, good: tuple[int, ...]) -> _Answer:
        import httpx
        from label_studio_sdk.core.api_error import ApiError

        options = {"max_retries": 0}
        try:
            asked = {"params" if method == "GET" else "json": body}
            answer = self._http.request(path, method=method, request_options=options, **asked)
        except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:  # a token is renewed
            why = f"the token cannot be renewed ({type(error).__name__})"
            raise self._unknown(method, path, why) from None
        except (httpx.HTTPError, httpx.InvalidURL, ApiError) as error:
            said = f"{type(error).__name__}" + (f": {error}" if str(error) else "")
            hint = "avis-data annotate serve; where it runs elsewhere: is it up, and is that its address?"
            raise ServerFault(f"Label Studio at {self.url} does not answer ({said:.200})", hint=hint) from None
        if answer.status_code in good:
            return answer
        raise _refusal(self.url, method, path, answer)


def _words(answer: _Answer) -> str:
    """What a refusal says; all of it where it is not in the server's usual form."""
    try:
        return refusal_words(answer.json())
    except (ValueError, RecursionError, DataError):
        return answer.text


def _refusal(url: str, method: str, path: str, answer: _Answer) -> Exception:
    said = f"Label Studio at {url} answers {answer.status_code} to {method} {path}: {_words(answer):.400}"
    if answer.status_code >= 500:
        return ServerFault(said, hint="look at label-studio/server.log in the workspace, then run it again")
    if answer.status_code in (401, 403):
        return ToolError(said, hint="check the token; legacy tokens must be switched on (docs/annotation.md)")
    return DataError(said, hint="if that address is not Label Studio's: avis-data annotate serve --label-studio-url")
