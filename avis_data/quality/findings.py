"""What a check of a dataset found, by severity; like findings are counted, and only the first of them kept in full."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Finding", "Findings", "Severity"]


class Severity(StrEnum):
    """How much it matters."""

    ERROR = "error"
    """The data are wrong, or an official program crashes on them or gives other numbers without saying so."""
    WARNING = "warning"
    """Probably not meant, or lost on one of the official programs."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was found."""

    severity: Severity
    code: str
    """Names the kind, as `bbox-missing`."""
    file: str
    """The file or folder, relative to what was checked."""
    where: str = ""
    """The entry in it, as `annotations[12] (id 13)`."""
    field: str = ""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.where, self.field, self.message) if part)

    def as_dict(self) -> dict[str, str]:
        """The same as JSON values."""
        names = ("severity", "code", "file", "where", "field", "message")
        return {name: str(getattr(self, name)) for name in names}


@dataclass(slots=True)
class Findings:
    """A growing list; of each kind in each file the first `KEPT` are kept, all are counted."""

    KEPT = 10

    kept: list[Finding] = field(default_factory=list)
    _counts: Counter[tuple[Severity, str, str]] = field(default_factory=Counter)

    def add(self, severity: Severity, code: str, file: str, message: str, *, where: str = "", name: str = "") -> None:
        """Note one thing; `name` is the field in the entry `where`."""
        self._counts[severity, code, file] += 1
        if self._counts[severity, code, file] <= self.KEPT:
            finding = Finding(severity=severity, code=code, file=file, where=where, field=name, message=message)
            self.kept.append(finding)

    def take(self, other: Findings) -> None:
        """Add what another list holds, after what is here."""
        room = {key: self.KEPT - self._counts[key] for key in other._counts}
        for finding in other.kept:
            key = (finding.severity, finding.code, finding.file)
            room[key] -= 1
            if room[key] >= 0:
                self.kept.append(finding)
        self._counts.update(other._counts)

    def count(self, severity: Severity) -> int:
        """How many there are of a severity, kept or not."""
        return sum(number for (found, _, _), number in self._counts.items() if found == severity)

    def not_kept(self) -> list[tuple[Severity, str, str, int]]:
        """Severity, code, file and how many more there are of each kind than were kept."""
        return [(*key, number - self.KEPT) for key, number in self._counts.items() if number > self.KEPT]

    def as_dict(self) -> dict[str, Any]:
        """Counts by severity and kind, and the findings that were kept."""
        by_code: Counter[str] = Counter()
        for (_, code, _), number in self._counts.items():
            by_code[code] += number
        return {
            "counts": {severity.value: self.count(severity) for severity in Severity},
            "by_code": dict(sorted(by_code.items())),
            "findings": [finding.as_dict() for severity in Severity for finding in self.of(severity)],
        }

    def of(self, severity: Severity) -> list[Finding]:
        """The findings of one severity that were kept, in the order in which they were found."""
        return [finding for finding in self.kept if finding.severity == severity]
