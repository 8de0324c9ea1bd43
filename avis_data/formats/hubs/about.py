"""What people say of a set when they publish it: options that all formats of this room have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from avis_data.errors import ConfigError
from avis_data.formats.sets.options import Option

__all__ = ["About", "shard_bytes"]


@dataclass(frozen=True, kw_only=True)
class About:
    """Goes into the card and the catalogue."""

    contact: Annotated[str | None, Option(help="Whom people ask to remove a clip: an address.")] = None
    agreement: Annotated[str | None, Option(help="A file: what `avis-data agreement --json` printed.")] = None

    def agreement_text(self) -> str | None:
        """The text of the file that `--agreement` names; None where none is named.

        Raises:
            ConfigError: if it cannot be read.
        """
        if self.agreement is None:
            return None
        try:
            return Path(self.agreement).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"--agreement {self.agreement}: cannot be read ({error})",
                hint="avis-data agreement --json > agreement.json",
            ) from None


def shard_bytes(shard_mb: int) -> int:
    """What `--shard-mb` says, in bytes. Raises ConfigError if it is not positive."""
    if shard_mb < 1:
        raise ConfigError(f"--shard-mb {shard_mb}: must be 1 or more")
    return shard_mb * 1_000_000
