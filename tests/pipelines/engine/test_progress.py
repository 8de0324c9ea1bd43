"""What is said of a stage that runs without a terminal."""

from __future__ import annotations

import pytest

from avis_data.pipelines.engine import progress


@pytest.mark.parametrize(("total", "said"), [(7, "convert: 1 of 7, 0 failed"), (None, "convert: 1, 0 failed")])
def test_a_line_says_how_many_there_are_only_where_that_is_known(
    total: int | None, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_LINE_EVERY_S", 0.0)
    with progress.Progress("convert", total=total) as shown:
        shown.step()
    assert capsys.readouterr().err.splitlines() == [said]
