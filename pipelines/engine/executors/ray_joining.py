"""Joining a Ray cluster, and why one cannot be joined, in words."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from avis_data.errors import ToolError

__all__ = ["answers", "host_and_port", "join", "why_not"]

logger = logging.getLogger(__name__)

_STORE_BYTES = 200_000_000
"""Of a cluster of our own: jobs and results are small, files carry the rest."""
_AUTH_HELP = "docs/cluster.md, `Tokens`"


def host_and_port(address: str) -> tuple[str, int] | None:
    """The two parts of an address; None where it is none."""
    match = re.fullmatch(r"(?:ray://)?(\[[^\]]+\]|[^:/]+):(\d+)", address)
    return None if match is None else (match[1].strip("[]"), int(match[2]))


def answers(address: tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    try:
        socket.create_connection(address, timeout=5).close()
    except (OSError, OverflowError):
        return False
    return True


def join(ray: Any, address: str) -> None:
    """Join the cluster at an address (`local`: make one). Ray itself waits for minutes, in silence, where none is.

    Raises:
        ToolError: if there is none, or it does not let us in.
    """
    where = host_and_port(address)
    if where is not None:
        try:
            socket.create_connection(where, timeout=10).close()
        except (OSError, OverflowError) as error:
            raise ToolError(f"no Ray cluster answers at {address}: {error}", hint="ray status") from None
    options = {"object_store_memory": _STORE_BYTES, "include_dashboard": False} if address == "local" else {}
    with _what_ray_says() as said:
        try:
            ray.init(address=address, **options, log_to_driver=False, logging_level="error")
        except Exception as error:  # of many kinds: Ray's own, of its proxy, of the system
            problem = error
        else:
            return
    raise why_not(ray, address, problem, said[0]) from None


def why_not(ray: Any, address: str, error: Exception, said: str) -> ToolError:
    """The error of a cluster that cannot be joined.

    Args:
        ray: the package.
        address: of the cluster.
        error: what Ray raised.
        said: what it wrote to stderr meanwhile.
    """
    where = "on this machine" if address == "local" else f"at {address}"
    mode = os.environ.get("RAY_AUTH_MODE")
    words = f"{error}\n{said}"
    if isinstance(error, ray.exceptions.AuthenticationError):
        return ToolError(f"the Ray cluster {where}: {str(error).partition(' Ensure')[0]}", hint=_AUTH_HELP)
    if "InvalidAuthToken" in words or "Unauthenticated" in words:
        if mode != "token":
            state = "is not set" if mode is None else f"is {mode}"
            return ToolError(
                f"the Ray cluster {where} asks for a token, and RAY_AUTH_MODE {state} here",
                hint=f"export RAY_AUTH_MODE=token, with the cluster's token in ~/.ray/auth_token; {_AUTH_HELP}",
            )
        return ToolError(
            f"the Ray cluster {where} refuses the token that this machine has", hint=f"ray get-auth-token; {_AUTH_HELP}"
        )
    if "ersion mismatch" in words:
        told = " ".join(str(error).split())
        return ToolError(f"the Ray cluster {where} does not run what this machine runs: {told}", hint="docs/cluster.md")
    return ToolError(f"no Ray cluster {where}: {error}", hint="ray status")


@contextmanager
def _what_ray_says() -> Iterator[list[str]]:
    """What is written to stderr meanwhile, in one text: why a cluster refuses us, Ray's C++ says only there."""
    said = [""]
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        before = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield said
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            said[0] = file.read().decode(errors="replace")
            if said[0]:
                logger.debug("ray: %s", said[0])
