"""There is one way to do what many modules do: to log, to know the rate of a clip's sound."""

from __future__ import annotations

import re
from pathlib import Path

from support.places import ROOT

FILES = [path for room in ("avis_data", "pipelines", "annotation", "training") for path in (ROOT / room).rglob("*.py")]


def lines_with(pattern: str) -> dict[Path, list[str]]:
    found = {path: re.findall(pattern, path.read_text(encoding="utf-8"), flags=re.MULTILINE) for path in FILES}
    return {path.relative_to(ROOT): lines for path, lines in found.items() if lines}


def test_modules_log_by_one_name() -> None:
    found = lines_with(r"^.*getLogger\(.*$")
    set_up = found.pop(Path("avis_data/log.py"))
    assert len(set_up) == 1 and len(found) > 10
    assert {line for lines in found.values() for line in lines} == {"logger = logging.getLogger(__name__)"}


def test_the_rate_of_a_clips_sound_stands_in_one_place() -> None:
    found = lines_with(r"^.*= 16_?000$")
    assert {path: lines for path, lines in found.items() if path.name != "records.py"} == {
        Path("avis_data/media/sound.py"): ["SAMPLE_RATE_HZ = 16000"]
    }
    assert "sample_rate_hz: Literal[16000]" in found[Path("avis_data/records.py")][0], "a type must say the number"
