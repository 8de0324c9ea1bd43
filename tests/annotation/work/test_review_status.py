"""`review status` says what to do next, where everybody finds their tasks, and what the server has that we have not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from avis_data.annotation.labels.store import read_round
from avis_data.annotation.labelstudio.settings import read_settings, write_settings
from avis_data.cli.main import main
from avis_data.manifest import read_manifest, write_manifest
from avis_data.records import Clip
from support.label_studio import TestServer, free_port
from support.labelling_world import ask
from support.review_team import Team, result
from support.rounds_world import square, track

pytestmark = pytest.mark.slow

DOG = track("dog_1", {second: square(2, 3) for second in range(4)}, [(0, 4)])


def status(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["review", "status", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_it_leads_from_the_first_clip_to_the_export(
    make_team: Callable[..., Team], label_studio: TestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    team = make_team("a", "b")
    workspace, ann, rev = team.workspace, team.ann, team.rev
    assert status(capsys)["next"][0].startswith("avis-data annotate push --round draft ")
    assert main(["annotate", "push", "--round", "draft", "--annotators", ann.email]) == 0
    (project,) = read_round(workspace, "draft").projects
    title = ask(label_studio, "GET", f"projects/{project.project_id}/")["title"]
    assert title.startswith(f"draft · {ann.email}") and len(title) <= 50
    found = status(capsys)
    assert found["next"] == [f"wait for {ann.email}, then avis-data annotate pull"] and found["to_pull"] == {}
    (address,) = found["addresses"]
    assert (address["annotator"], address["round"], address["num_open"]) == (ann.email, "draft", 2)
    headers = {"Authorization": f"Token {label_studio.token}"}
    assert httpx.get(address["url"], headers=headers, follow_redirects=True, timeout=60).status_code == 200

    for name in "ab":
        ann.say(workspace, "draft", name, result([DOG], "done"))
    found = status(capsys)
    assert found["to_pull"] == {"draft": 2} and found["next"][0].startswith("avis-data annotate pull ")
    steps = [("annotate", "pull"), ("review", "start", "--reviewers", rev.email)]
    for step in steps:
        assert status(capsys)["next"][0].startswith(f"avis-data {step[0]} {step[1]} ")
        assert main(list(step)) == 0
    for name in "ab":
        rev.say(workspace, "review", name, result([DOG], "accept"))
    assert main(["annotate", "pull"]) == 0
    (last,) = status(capsys)["next"]
    assert last.startswith("avis-data export ")

    rest = [clip for clip in read_manifest(workspace.manifest / "clips.jsonl", Clip) if clip.clip_id != "a"]
    write_manifest(workspace.manifest / "clips.jsonl", rest)
    found = status(capsys)
    assert found["not_in_manifest"] == {"a": [f"draft of {ann.email}", f"review of {rev.email}"]}
    write_settings(workspace, read_settings(workspace).model_copy(update={"url": f"http://127.0.0.1:{free_port()}"}))
    found = status(capsys)
    assert found["to_pull"] is None and "does not answer" in found["server_fault"]
    assert main(["review", "status"]) == 0
    said = capsys.readouterr()
    assert "a is not in the manifest" in said.out and "what is to be pulled is not known" in said.err
