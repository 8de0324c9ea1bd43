"""The segmenter as a service that Label Studio calls an ML backend: five routes, each behind one token but health.

Source: specs of Label Studio, §5 (the protocol, captured from a real server).
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from avis_data.annotation.labelstudio.regions import Region
from avis_data.annotation.serve.click_answer import Answerer, Prediction
from avis_data.annotation.serve.click_request import PredictBody, click_of
from avis_data.annotation.serve.embed_ahead import AheadOfClicks
from avis_data.annotation.serve.fills import Fills, Taken
from avis_data.annotation.serve.page_state import Drafts
from avis_data.errors import AvisError

__all__ = ["create_app"]

logger = logging.getLogger(__name__)

_USER = "avis-data"
_MOST_BYTES = 64 * 1024 * 1024
"""A click carries all masks of its task: 2.6 MB for 122 ragged ones."""


def create_app(
    answerer: Answerer, drafts: Drafts, *, token: str, is_there: Callable[[int], bool] = lambda _: True
) -> FastAPI:
    """The service.

    Args:
        answerer: the segmenter over its workspace.
        drafts: where the newest state of a page is asked for.
        token: password of the user `avis-data` in HTTP's basic authentication, which is all that Label Studio can send.
        is_there: whether the server has a task (still); others are not worked at.
    """
    fills = Fills(answerer, is_there=is_there)

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(fills.close)

    app = FastAPI(title="avis-data segmenter", docs_url=None, redoc_url=None, openapi_url=None, lifespan=running)
    ahead = AheadOfClicks(answerer.prepare)

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.url.path != "/health" and not _is_allowed(request.headers.get("authorization"), token):
            headers = {"WWW-Authenticate": 'Basic realm="avis-data"'}
            return JSONResponse({"error": "a token is needed"}, status_code=401, headers=headers)
        return await call_next(request)

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
        return await run_in_threadpool(_predicted, body, answerer, drafts, ahead, fills)

    return app


def _predicted(
    body: PredictBody, answerer: Answerer, drafts: Drafts, ahead: AheadOfClicks, fills: Fills
) -> JSONResponse:
    began = time.perf_counter()
    task = body.tasks[0]
    if body.filling is not None:
        return _answered(answerer, [], fills.of_box(task, body.filling))
    ahead.open(task.data.clip_id, task.data.num_seconds)
    try:
        click = click_of(body, drafts)
        if click is None:
            return JSONResponse({"results": []})
        with fills.people_first():
            answer = answerer.answer(click)
    except AvisError as error:  # the page shows nothing of it, `annotate status` does
        logger.warning("clip=%s: %s", task.data.clip_id, error)
        return _refused(str(error), 422)
    took_ms = 1000 * (time.perf_counter() - began)
    others = 0 if answer is None else len(answer.others)
    logger.info("clip=%s identity=%s later=%d ms=%.0f", click.clip_id, click.identity, others, took_ms)
    if answer is not None:
        fills.begin(click, answer)
    taken = fills.of_click(click)
    if answer is None and not taken.regions:
        return JSONResponse({"results": []})
    first = [] if answer is None else answer.prediction.result
    here = {region["id"] for region in first}  # what was clicked is newer than what a box finds there
    return _answered(answerer, first, replace(taken, regions=[new for new in taken.regions if new["id"] not in here]))


def _answered(answerer: Answerer, first: list[Region], taken: Taken) -> JSONResponse:
    regions = [*first, *taken.regions]
    score = min((region["score"] for region in regions if "score" in region), default=0.0)
    answer = Prediction(score=score, model_version=answerer.version, result=regions, filling=taken.progress)
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
