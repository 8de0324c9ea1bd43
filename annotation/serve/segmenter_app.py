"""The segmenter as a service that Label Studio calls an ML backend: its routes, each behind one token but health.

Source: specs of Label Studio, §5 (the protocol, captured from a real server).
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from avis_data.annotation.labelstudio.regions import Region
from avis_data.annotation.serve.click_answer import Answerer, Prediction
from avis_data.annotation.serve.click_request import PredictBody, click_of
from avis_data.annotation.serve.embedding_cache import AheadOfClicks
from avis_data.annotation.serve.fills import Fills, Taken
from avis_data.annotation.serve.monitoring import Monitoring
from avis_data.annotation.serve.page_state import Drafts
from avis_data.errors import AvisError

__all__ = ["LoadingService", "create_app"]

logger = logging.getLogger(__name__)

_USER = "avis-data"
_MOST_BYTES = 64 * 1024 * 1024
"""A click carries all masks of its task: 2.6 MB for 122 ragged ones."""


class LoadingService:
    """The service (ASGI) from the first moment on: until its engine is loaded every answer is 503, `LOADING`."""

    def __init__(
        self,
        load: Callable[[], FastAPI],
        *,
        token: str,
        monitoring: Monitoring,
        on_fault: Callable[[Exception], None],
    ) -> None:
        """Nothing is loaded before the server starts.

        Args:
            load: what `create_app` gives; it takes its time, in a thread of its own.
            token: as there.
            monitoring: as there.
            on_fault: is told what `load` raises.
        """
        self._load, self._on_fault = load, on_fault
        self._loaded: FastAPI | None = None
        self._loading = _guarded(self._running, token, monitoring)

        @self._loading.api_route("/{path:path}", methods=["GET", "POST"])
        async def not_yet(path: str) -> JSONResponse:
            words = {"status": "LOADING", "error": "the engine is being loaded"}
            return JSONResponse(words, status_code=503, headers={"Retry-After": "5"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; the server's start and end come here too."""
        loaded = self._loaded if scope["type"] != "lifespan" else None
        await (loaded or self._loading)(scope, receive, send)

    @asynccontextmanager
    async def _running(self, _: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=self._bring_up, daemon=True, name="loading").start()
        yield
        if self._loaded is not None:
            await run_in_threadpool(self._loaded.state.close)

    def _bring_up(self) -> None:
        try:
            self._loaded = self._load()
        except Exception as error:  # whatever it is, the server must end
            self._on_fault(error)


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What a request is answered with."""

    answerer: Answerer
    drafts: Drafts
    ahead: AheadOfClicks
    fills: Fills
    figures: Monitoring


def create_app(
    answerer: Answerer,
    drafts: Drafts,
    *,
    token: str,
    is_there: Callable[[int], bool] = lambda _: True,
    monitoring: Monitoring | None = None,
) -> FastAPI:
    """The service.

    Args:
        answerer: the segmenter over its workspace.
        drafts: where the newest state of a page is asked for.
        token: password of the user `avis-data` in HTTP's basic authentication, which is all that Label Studio can send.
        is_there: whether the server has a task (still); others are not worked at.
        monitoring: takes the figures; None: one of its own.
    """
    parts = _Parts(
        answerer=answerer,
        drafts=drafts,
        ahead=AheadOfClicks(answerer.prepare),
        fills=Fills(answerer, is_there=is_there),
        figures=monitoring or Monitoring(),
    )

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(parts.fills.close)

    app = _guarded(running, token, parts.figures)
    app.state.close = parts.fills.close  # for a `LoadingService`
    parts.figures.loaded(answerer, fills=parts.fills, ahead=parts.ahead)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "UP", "model_class": answerer.version}

    @app.post("/setup")
    async def setup() -> dict[str, str]:
        return {"model_version": answerer.version}

    @app.get("/versions")
    async def versions() -> dict[str, list[str]]:
        return {"versions": [answerer.version]}

    @app.post("/webhook")
    async def webhook() -> dict[str, str]:
        return {"status": "ok"}  # polling is how changes are found; a webhook may be lost

    @app.post("/predict")
    async def predict(request: Request) -> JSONResponse:
        try:
            text = await _limited(request)
            content = json.loads(text)
            json.dumps(content, ensure_ascii=False).encode()  # fails where a half of a character would fail later
            body = PredictBody.model_validate(content)
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:3]]
            return _refused(f"not a request of Label Studio: {'; '.join(faults)}", 400)
        except OverflowError:
            return _refused(f"a request of more than {_MOST_BYTES} bytes", 413)
        except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and halves of characters
            return _refused(f"not a request of Label Studio: {error}", 400)
        try:
            return await run_in_threadpool(_predicted, body, parts)
        except AvisError as error:
            return _refused_click(request, body, answerer, error)

    return app


def _guarded(
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]], token: str, figures: Monitoring
) -> FastAPI:
    """A service without routes of its own but `/metrics`: who has no token learns at most how it is (`/health`)."""
    app = FastAPI(title="avis-data segmenter", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        status = 500
        try:
            if request.url.path != "/health" and not _is_allowed(request.headers.get("authorization"), token):
                headers = {"WWW-Authenticate": 'Basic realm="avis-data"'}
                answer: Response = JSONResponse({"error": "a token is needed"}, status_code=401, headers=headers)
            else:
                answer = await call_next(request)
            status = getattr(request.state, "counts_as", answer.status_code)
        finally:
            figures.request(request.url.path, status)
        return answer

    @app.get("/metrics")
    async def metrics() -> Response:
        content, kind = figures.page()
        return Response(content, media_type=kind)

    return app


def _predicted(body: PredictBody, parts: _Parts) -> JSONResponse:
    answerer, fills = parts.answerer, parts.fills
    began = time.perf_counter()
    task = body.tasks[0]
    if body.filling is not None:
        return _answered(answerer, [], fills.of_box(task, body.filling))
    parts.ahead.open(task.data.clip_id, task.data.num_seconds)
    click = click_of(body, parts.drafts)
    if click is None:
        return JSONResponse({"results": []})
    with fills.people_first():
        answer = answerer.answer(click)
    took_s = time.perf_counter() - began
    others = 0 if answer is None else len(answer.others)
    logger.info("clip=%s identity=%s later=%d ms=%.0f", click.clip_id, click.identity, others, 1000 * took_s)
    parts.figures.click(took_s, is_found=answer is not None)
    if answer is not None:
        fills.begin(click, answer)
    taken = fills.of_click(click)
    if answer is None and not taken.regions:
        return _told(answerer, f"no {click.identity} found there: draw a box around it")
    first = [] if answer is None else answer.prediction.result
    here = {region["id"] for region in first}  # what was clicked is newer than what a box finds there
    return _answered(answerer, first, replace(taken, regions=[new for new in taken.regions if new["id"] not in here]))


def _answered(answerer: Answerer, first: list[Region], taken: Taken) -> JSONResponse:
    regions = [*first, *taken.regions]
    score = min((region["score"] for region in regions if "score" in region), default=0.0)
    answer = Prediction(score=score, model_version=answerer.version, result=regions, filling=taken.progress)
    return JSONResponse({"results": [answer.as_dict()]})


def _refused_click(request: Request, body: PredictBody, answerer: Answerer, error: AvisError) -> JSONResponse:
    logger.warning("clip=%s: %s", body.tasks[0].data.clip_id, error)  # `annotate status` shows the last ones
    request.state.counts_as = 422  # in the figures of `/metrics`
    return _told(answerer, str(error))


def _told(answerer: Answerer, why: str) -> JSONResponse:
    """No mask, and why. A success all the same: of another answer Label Studio passes no word on to the page."""
    readable = why.encode("utf-8", "backslashreplace").decode()
    answer = Prediction(score=0.0, model_version=answerer.version, result=[], told=readable)
    return JSONResponse({"results": [answer.as_dict()]})


async def _limited(request: Request) -> bytes:
    """The body, read no further than is allowed. Raises OverflowError where there is more."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _MOST_BYTES:
            raise OverflowError
        parts.append(part)
    return b"".join(parts)


def _is_allowed(header: str | None, token: str) -> bool:
    kind, _, coded = (header or "").partition(" ")
    if kind.lower() != "basic":
        return False
    try:
        user, _, password = base64.b64decode(coded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return False
    # Both are compared in full and in constant time: how long it takes must not say how much was right.
    is_user = secrets.compare_digest(user.encode(), _USER.encode())
    is_token = secrets.compare_digest(password.encode(), token.encode())
    return is_user and is_token


def _refused(message: str, status: int) -> JSONResponse:
    readable = message.encode("utf-8", "backslashreplace").decode()
    return JSONResponse({"error": readable}, status_code=status)
