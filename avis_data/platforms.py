"""Where Linux, macOS and Windows differ: what a process has used, and what cannot be done on Windows at all."""

from __future__ import annotations

import sys
import time

from avis_data.errors import ToolError

__all__ = ["WINDOWS_ADVICE", "not_on_windows", "peak_memory_mb", "used_cpu_s"]

WINDOWS_ADVICE = "use the Windows Subsystem for Linux: wsl --install, then install avis-data in it"


def not_on_windows(what: str, *, hint: str = WINDOWS_ADVICE) -> ToolError:
    """The error of what needs signals, sessions or pipes as Linux and macOS have them.

    Args:
        what: what was asked for, as the beginning of a sentence: `running stages`.
        hint: what to do instead.
    """
    return ToolError(f"{what} needs Linux or macOS, this is Windows", hint=hint)


def used_cpu_s() -> float:
    """Processor time in seconds that this process and its ended children have used; on Windows without the children."""
    if sys.platform == "win32":
        return time.process_time()
    import resource

    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def peak_memory_mb() -> float:
    """The most memory that this process ever had in use, in 10^6 bytes; 0 on Windows, where nobody is asked."""
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes in what ru_maxrss counts
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
