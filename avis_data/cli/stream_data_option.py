"""`--stream-data`: a command begins before all stills of an export in a bucket are here."""

from __future__ import annotations

import click

__all__ = ["may_stream", "stream_data_option"]

_ASKED = "avis_data.stream_data"

stream_data_option = click.option(
    "--stream-data",
    is_flag=True,
    is_eager=True,  # before --data, which it is about
    expose_value=False,
    callback=lambda context, _, value: context.meta.__setitem__(_ASKED, value),
    help="With --data s3://…: fetch each still when it is first needed, and keep it.",
)


def may_stream(context: click.Context | None) -> bool:
    """Whether the command has the option, and was given it."""
    return context is not None and bool(context.meta.get(_ASKED))
