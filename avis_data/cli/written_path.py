"""The type of every option that names what is written (`--out`, `--html`, `--keep`), and that of `--data`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["ReadPath", "WrittenPath"]


class WrittenPath(click.Path):
    """A path that is written, or below which is: in a workspace, no link on the way there or in it leads out."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | PathLike[str]:
        from avis_data.links.check import check_place

        path = super().convert(value, param, ctx)
        check_place(Path(str(path)))
        return path


class ReadPath(click.Path):
    """A path that is read; `s3://…` stands for the local copy of that export, shards for what they hold unpacked."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | PathLike[str]:
        from avis_data.pipelines.engine.progress import say
        from avis_data.pipelines.unpacked_shards import is_shards, unpacked_shards

        path = self._on_this_machine(value, param, ctx)
        if is_shards(path):
            path = unpacked_shards(path)
        if path != Path(value):
            say("data", f"{value} lies in {path}")  # with the truth file that `evaluate` is to be given
        return path

    def _on_this_machine(
        self, value: str | PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        from avis_data.cli.stream_data_option import may_stream

        if isinstance(value, str) and value.startswith("s3://"):
            from avis_data.storage.fetched import fetched_export

            return fetched_export(value, stills_later=may_stream(ctx))
        if may_stream(ctx):
            self.fail(f"--stream-data is for an export in a bucket, s3://… (found {value})", param, ctx)
        return Path(str(super().convert(value, param, ctx)))
