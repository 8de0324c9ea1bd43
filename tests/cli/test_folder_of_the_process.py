"""A command leaves the caller's process in the folder that it was in, and says when that folder is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from avis_data.cli.main import main


@pytest.mark.parametrize("words", [["status"], ["doctor", "--workspace"], ["no-such-command"]])
def test_a_command_with_another_folder_leaves_a_notebook_where_it_was(tmp_path: Path, words: list[str]) -> None:
    assert main(["-C", str(tmp_path / "ds"), "init"]) == 0
    before = Path.cwd()
    main(["-C", str(tmp_path / "ds"), *words])
    assert Path.cwd() == before


@pytest.mark.parametrize("words", [["status"], ["-C", "/", "status"], ["validate", "export"]])
def test_a_folder_that_was_deleted_under_the_caller_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(words) == 2
    assert "the folder that you are in is no longer there" in capsys.readouterr().err
