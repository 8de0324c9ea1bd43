"""What of start weights a model took, what not, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["LoadReport", "listed"]

_MOST = 20
"""Names or modules in one list that a person reads."""
_STEPS = 100
"""At most so many modules are opened: a foreign name may have any number of dots."""


@dataclass(frozen=True, kw_only=True)
class LoadReport:
    """How tensors fitted a model."""

    loaded: int
    """Tensors that were taken."""
    missing: tuple[str, ...]
    """Names of the model that the tensors do not have; they keep their values."""
    unexpected: tuple[str, ...]
    """Names that the model does not have."""
    misshapen: tuple[str, ...]
    """Names that both have, in other shapes (class heads of another data set); they keep their values."""
    unknown: tuple[str, ...] = ()
    """Names in the file that no rule makes ours."""
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Parts of the model that the tensors name, as `backbone`: how many tensors it took, and how many it needs."""

    @property
    def is_stranger(self) -> bool:
        """Whether less than half of the backbone, or of all named parts together, was there."""
        both = list(self.parts.values())
        total = (sum(taken for taken, _ in both), sum(needed for _, needed in both))
        return any(2 * taken < needed for taken, needed in (total, self.parts.get("backbone", (0, 0))))

    @property
    def shares(self) -> str:
        """For people: `backbone 85 of 334, pixel_decoder 10 of 12`."""
        return ", ".join(f"{part} {taken} of {needed}" for part, (taken, needed) in self.parts.items())

    def lines(self) -> Iterator[str]:
        """A line for each kind of tensor that did not fit, with its names."""
        kinds = {
            "not in the file, so they start at random": self.missing,
            "of another shape in the file, so they start at random": self.misshapen,
            "in the file, but not in the model": self.unexpected,
            "in the file, under names that are not known": self.unknown,
        }
        return (f"{len(names)} {kind}: {listed(names)}" for kind, names in kinds.items() if names)

    def values(self, source: str) -> dict[str, object]:
        """For JSON, with every name and where the weights come from."""
        parts = {part: {"taken": taken, "needed": needed} for part, (taken, needed) in self.parts.items()}
        lists = {
            "missing": self.missing,
            "other_shape": self.misshapen,
            "not_in_model": self.unexpected,
            "unknown": self.unknown,
        }
        return {
            "init": _printable(source),
            "loaded": self.loaded,
            "parts": parts,
            **{kind: [_printable(name) for name in names] for kind, names in lists.items()},
        }


def listed(names: Sequence[str]) -> str:
    """Names for one line: up to 20 as they are, more of them by the modules that they lie in, with counts."""
    if len(names) <= _MOST:
        return ", ".join(map(_printable, names))
    groups = _modules(names)
    shown = list(groups.items())[:_MOST]
    told = [_printable(group) + (f" ({len(members)})" if len(members) > 1 else "") for group, members in shown]
    rest = len(names) - sum(len(members) for _, members in shown)
    return ", ".join([*told, *([f"and {rest} more"] if rest else [])])


def _modules(names: Sequence[str]) -> dict[str, list[str]]:
    """Names by module: the fullest module is told by its own modules, as long as there are not too many."""
    groups = _by_depth(names, 1)
    for _ in range(_STEPS):
        for group, members in sorted(groups.items(), key=lambda item: -len(item[1])):
            inner = _by_depth(members, group.count(".") + 2)
            if len(members) > 1 and len(groups) - 1 + len(inner) <= _MOST:
                del groups[group]
                groups |= inner
                break
        else:
            break
    return dict(sorted(groups.items()))


def _by_depth(names: Sequence[str], depth: int) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(".".join(name.split(".")[:depth]), []).append(name)
    return groups


def _printable(name: str) -> str:
    """A name as it is, or escaped: those of foreign files may hold anything."""
    return name if name.isprintable() else ascii(name)
