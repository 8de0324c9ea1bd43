"""`storage.yaml`: whether the large files of a workspace have a bucket as their home, and which."""

from __future__ import annotations

import os
import re

from pydantic import Field, field_validator

from avis_data.config import config_from_yaml
from avis_data.paths import Workspace
from avis_data.records import Record

__all__ = ["UNFINISHED", "Storage", "is_stored", "storage_of"]

UNFINISHED = ".tmp/"
"""How the keys begin, below the prefix, of what no ledger vouches for yet."""
_STORED = ("sources/", "clips/", "features/vggish/clips/", "fingerprints/clips/")
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"


class Storage(Record):
    """Where a workspace's large files have their home, and how much of them may lie here. No secret stands in it."""

    storage: str = Field(description="`s3://bucket/prefix`.")
    endpoint_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^@\s?#]+$",
        description="Of another server than Amazon's; null: AWS_ENDPOINT_URL, else Amazon's.",
    )
    cache_gb: float | None = Field(
        default=None, ge=0, description="The most that local copies take, in 10^9 bytes; null: they stay."
    )

    @field_validator("storage")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if not re.fullmatch(rf"s3://{_BUCKET}(/[A-Za-z0-9_.-]+)*/?", url) or "/../" in f"{url}/":
            raise ValueError("must be s3://bucket/prefix, of letters, digits, `.`, `_`, `-`; keys stand elsewhere")
        return url.rstrip("/")

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return self.storage.removeprefix("s3://").partition("/")[0]

    @property
    def prefix(self) -> str:
        """How the keys of this workspace begin: empty, or with a slash at the end."""
        below = self.storage.removeprefix("s3://").partition("/")[2]
        return f"{below}/" if below else ""


def storage_of(workspace: Workspace) -> Storage | None:
    """What `storage.yaml` says; None where there is none, so that all files lie in the folder.

    Raises:
        ConfigError: if it is no YAML.
        ProblemsError: with every bad key.
    """
    return config_from_yaml(workspace.storage, Storage) if os.path.lexists(workspace.storage) else None


def is_stored(path: str) -> bool:
    """Whether what a stage leaves under this path of the workspace has the bucket as its home."""
    return path.startswith(_STORED)
