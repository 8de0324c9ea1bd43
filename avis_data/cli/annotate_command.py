"""`avis-data annotate`: Label Studio for a workspace: install, serve, push, pull, status, backup, restore."""

from __future__ import annotations

import click

from avis_data.cli.annotate_backup import back_up_labels, restore_labels
from avis_data.cli.annotate_serve import install_label_studio, serve_label_studio
from avis_data.cli.annotate_sync import pull_labels, push_clips, say_status

__all__ = ["command"]


@click.group()
def command() -> None:
    """Label clips in Label Studio, helped by a segmenter; bring what people did back.

    Beside it stand `avis-data propagate`, which carries masks through a clip, `avis-data review`, which leads the
    rounds, and `avis-data agreement`, which compares what two people said of the same clips.

    \b
    Example:
      avis-data annotate install
      avis-data -C my-dataset annotate serve
      avis-data -C my-dataset annotate push --round draft
      avis-data -C my-dataset annotate pull
    """


for _command in (
    install_label_studio,
    serve_label_studio,
    push_clips,
    pull_labels,
    say_status,
    back_up_labels,
    restore_labels,
):
    command.add_command(_command)
