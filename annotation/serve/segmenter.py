"""`python -m avis_data.annotation.serve.segmenter`: the segmenter's server, as `avis-data annotate serve` starts it."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI

from avis_data.annotation.segmenters.engines import AUTO, SEGMENTERS, choose_engine, load_segmenter
from avis_data.annotation.serve.click_answer import Answerer
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.monitoring import Monitoring
from avis_data.annotation.serve.page_state import saved_drafts, task_is_there
from avis_data.annotation.serve.segmenter_app import LoadingService, create_app
from avis_data.errors import AvisError, ConfigError
from avis_data.masks.brush_rle import encode_brush
from avis_data.paths import Workspace

__all__ = ["LOG_FORMAT", "app_of", "main"]

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
"""`annotate status` reads what could not be answered out of the log (`server_states.py`)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until it is ended."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    try:
        token = _token(arguments.token_file)
    except (AvisError, OSError) as error:
        return _cannot_start(error)
    faults: list[Exception] = []

    def end(fault: Exception) -> None:
        faults.append(fault)
        server.should_exit = True

    figures = Monitoring()
    service = LoadingService(lambda: _app(arguments, figures), token=token, monitoring=figures, on_fault=end)
    server = uvicorn.Server(uvicorn.Config(service, host=arguments.host, port=arguments.port, log_level="warning"))
    server.run()
    for fault in faults:
        if isinstance(fault, AvisError | OSError):
            return _cannot_start(fault)
        raise fault
    return 0


def app_of(argv: Sequence[str]) -> FastAPI:
    """The service that a command line asks for, for who serves it in another way.

    Raises:
        AvisError: if the engine cannot be loaded, or the token's file is empty.
    """
    return _app(_parser().parse_args(argv), None)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="who may call: this machine only, unless told otherwise")
    parser.add_argument("--port", type=int, default=9090)
    parser.add_argument("--engine", choices=[AUTO, *SEGMENTERS.names()], default=AUTO)
    parser.add_argument("--engine-weights", type=Path, help="a file, or a folder in Hugging Face's format")
    parser.add_argument("--gpu", action="store_true", help="take only an engine that computes on a GPU")
    parser.add_argument("--token-file", type=Path, required=True)
    parser.add_argument("--cache-gb", type=float, default=10.0, help="most room for embeddings of stills on disk")
    return parser


def _cannot_start(error: Exception) -> int:
    print(f"the segmenter cannot start: {error}", file=sys.stderr)
    return 3


def _token(path: Path) -> str:
    token = path.read_text(encoding="utf-8").strip()
    if not token:
        raise ConfigError(f"{path}: holds no token")
    return token


def _app(arguments: argparse.Namespace, figures: Monitoring | None) -> FastAPI:
    token = _token(arguments.token_file)
    workspace = Workspace(arguments.workspace)
    choice = choose_engine(arguments.engine, arguments.engine_weights, on_gpu=arguments.gpu)
    for line in choice.said:
        logger.info(line)
    segmenter = load_segmenter(choice.engine, choice.weights)
    cache = EmbeddingCache(
        workspace.root / "label-studio" / "embeddings",
        engine=segmenter.name,
        weights_sha256=segmenter.weights_sha256,
        most_bytes=int(arguments.cache_gb * 1e9),
    )
    encode_brush(np.ones((8, 8), dtype=np.bool_))  # compiled now, not while somebody waits for the first click
    answerer = Answerer(workspace, segmenter, cache)
    drafts, is_there = saved_drafts(workspace), task_is_there(workspace)
    return create_app(answerer, drafts, token=token, is_there=is_there, monitoring=figures)


if __name__ == "__main__":
    sys.exit(main())
