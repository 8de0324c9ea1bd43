"""The log of a training run, `log.jsonl`, read line by line."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from avis_data.config import problems_from_validation
from avis_data.errors import DataError, ProblemsError
from avis_data.records import Record

__all__ = ["RunLine", "read_run_log"]

logger = logging.getLogger(__name__)
_HINT = "give the --out of an avis-data train-baseline; a damaged line can be removed from the file"


class RunLine(Record):
    """One line: means of the losses since the line before, or the figures of a validation."""

    model_config = ConfigDict(extra="allow")

    iteration: int = Field(ge=0, le=2**53)
    loss: float | None = None
    losses: dict[str, float] = Field(default_factory=dict)
    validation: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    """Figures by mode and name."""


def read_run_log(run: Path) -> list[RunLine]:
    """The lines of a run's log, oldest first. A last line that a kill cut off is left out, and told.

    Raises:
        DataError: if there is no log, or it is no text.
        ProblemsError: at the first line of another form, with its number.
    """
    path = run / "log.jsonl"
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no log of a training run ({error})", hint=_HINT) from None
    found = []
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if number == len(lines) and not _is_whole(line):
            if line:
                logger.warning("%s:%d: left out, it was cut off", path, number)
            continue
        found.append(_parsed(line, where=f"{path}:{number}"))
    return found


def _is_whole(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _parsed(line: str, *, where: str) -> RunLine:
    try:
        return RunLine.model_validate_json(line)
    except ValidationError as error:
        problems = problems_from_validation(error, where=where)
        raise ProblemsError(f"{where}: not a line of the log of a training run", problems, hint=_HINT) from None
