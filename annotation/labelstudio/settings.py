"""Which Label Studio a workspace works with, and what is needed to be let in.

WORKSPACE/label-studio/server.json      address, and how that server sees the clips
                       secrets.json     accounts and tokens; mode 600, made once, the password printed once
                       data/            of the server that `annotate serve` runs: its database, settings, uploads
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import Field

from avis_data.annotation.labelstudio.client import LabelStudio
from avis_data.config import record_from_json
from avis_data.errors import DataError, ToolError
from avis_data.io import write_private, write_text
from avis_data.links.check import check_links
from avis_data.paths import Workspace
from avis_data.recipe import load_recipe
from avis_data.records import Record

__all__ = [
    "Secrets",
    "ServerSettings",
    "connect",
    "new_secrets",
    "read_secrets",
    "read_settings",
    "server_dir",
    "write_secrets",
    "write_settings",
]

_HINT = "avis-data annotate serve"


class ServerSettings(Record):
    """`server.json`."""

    url: str = Field(description="Of Label Studio, as people and we reach it.")
    clips_folder: str = Field(description="The folder `clips` on the server's machine.")
    media_prefix: str = Field(default="", description="From the root of its local files to the workspace, `name/`.")
    backend_url: str | None = Field(default=None, description="Of the segmenter, as the server reaches it.")


class Secrets(Record):
    """`secrets.json`."""

    username: str | None = Field(default=None, description="E-mail of the first account; null: a server that exists.")
    password: str | None = None
    password_told: bool = Field(default=False, description="Whether a person was shown the password already.")
    token: str = Field(min_length=1, description="Of that first account, which makes the projects.")
    existing_token: str | None = Field(default=None, description="On a server that exists, while one is in use.")
    backend_token: str = Field(min_length=1, description="The segmenter answers to nobody else.")

    @property
    def token_in_use(self) -> str:
        """What the server that the workspace works with now lets in."""
        return self.existing_token or self.token


def server_dir(workspace: Workspace) -> Path:
    """`WORKSPACE/label-studio`."""
    return workspace.root / "label-studio"


def connect(workspace: Workspace) -> tuple[LabelStudio, ServerSettings]:
    """The server of a workspace, asked once whether it is there and lets us in.

    Raises:
        ConfigError: if the folder is no workspace.
        DataError: if a link leads out of it.
        ToolError: if there is none yet, or it does not answer, or not to us.
    """
    check_links(workspace.root)
    load_recipe(workspace)
    settings = read_settings(workspace)
    client = LabelStudio(settings.url, read_secrets(workspace).token_in_use)
    client.whoami()
    return client, settings


def read_settings(workspace: Workspace) -> ServerSettings:
    """`server.json`. Raises ToolError where there is none, DataError where it is damaged."""
    path = server_dir(workspace) / "server.json"
    if not path.is_file():
        raise ToolError(f"{workspace.root}: no Label Studio was started or named for this workspace yet", hint=_HINT)
    return record_from_json(path, ServerSettings, hint=f"remove {path}, then {_HINT}")


def write_settings(workspace: Workspace, settings: ServerSettings) -> None:
    """Keep `server.json`."""
    write_text(server_dir(workspace) / "server.json", settings.model_dump_json(indent=2) + "\n")


def new_secrets(*, username: str | None = None) -> Secrets:
    """Fresh secrets.

    Args:
        username: e-mail of an account to be made, with a password; None: none is made.
    """
    return Secrets(
        username=username,
        password=secrets.token_urlsafe(12) if username else None,
        token=secrets.token_hex(20),
        backend_token=secrets.token_hex(20),
    )


def read_secrets(workspace: Workspace) -> Secrets:
    """`secrets.json`.

    Raises:
        ToolError: where there is none.
        DataError: where it is damaged, or others may read it.
    """
    path = server_dir(workspace) / "secrets.json"
    if not path.is_file():
        raise ToolError(f"{path}: no such file", hint=_HINT)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise DataError(f"{path}: others may read this file", hint=f"chmod 600 {path}")
    return record_from_json(
        path, Secrets, hint="bring it back from a copy: it holds the only token of the first account"
    )


def write_secrets(workspace: Workspace, found: Secrets) -> None:
    """Keep `secrets.json`, readable for its owner only from its first byte on."""
    write_private(server_dir(workspace) / "secrets.json", found.model_dump_json(indent=2) + "\n")
