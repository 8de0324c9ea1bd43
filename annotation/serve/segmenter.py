"""`python -m avis_data.annotation.serve.segmenter`: the segmenter's server, as `avis-data annotate serve` starts it."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import uvicorn

from avis_data.annotation.segmenters.engines import ENGINES, load_segmenter
from avis_data.annotation.serve.answering import Answerer
from avis_data.annotation.serve.embedding_cache import EmbeddingCache
from avis_data.annotation.serve.segmenter_app import create_app
from avis_data.errors import AvisError, ConfigError
from avis_data.paths import Workspace

__all__ = ["main"]


def main() -> int:
    """Serve until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="who may call: this machine only, unless told otherwise")
    parser.add_argument("--port", type=int, default=9090)
    parser.add_argument("--engine", choices=ENGINES, default="grabcut")
    parser.add_argument("--engine-weights", type=Path, help="a file, or a folder in Hugging Face's format")
    parser.add_argument("--token-file", type=Path, required=True)
    parser.add_argument("--cache-gb", type=float, default=10.0, help="most room for embeddings of stills on disk")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        token = arguments.token_file.read_text(encoding="utf-8").strip()
        if not token:
            raise ConfigError(f"{arguments.token_file}: holds no token")
        workspace = Workspace(arguments.workspace)
        segmenter = load_segmenter(arguments.engine, arguments.engine_weights)
    except (AvisError, OSError) as error:
        print(f"the segmenter cannot start: {error}", file=sys.stderr)
        return 3
    cache = EmbeddingCache(
        workspace.root / "label-studio" / "embeddings",
        engine=segmenter.name,
        weights_sha256=segmenter.weights_sha256,
        most_bytes=int(arguments.cache_gb * 1e9),
    )
    app = create_app(Answerer(workspace, segmenter, cache), token=token)
    uvicorn.run(app, host=arguments.host, port=arguments.port, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
