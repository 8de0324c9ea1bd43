"""What may be used: licences in many spellings, the rule of the recipe, who it is from; held is never exported."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from avis_data.cli.commands import cli
from avis_data.errors import DataError
from avis_data.ledger import Ledger
from avis_data.manifest import read_manifest
from avis_data.paths import Workspace
from avis_data.pipelines.exports import FORMATS
from avis_data.pipelines.exports.plan import ExportOptions
from avis_data.pipelines.exports.publish import export
from avis_data.pipelines.kept_video_list import CLIP_ROW, wanted_clips
from avis_data.pipelines.manifests import write_manifests
from avis_data.pipelines.upkeep.licenses import allowed, license_name
from avis_data.recipe import RightsOptions
from avis_data.records import Video
from avis_data.video_list import read_video_list
from support.fake_workspace import FakeClip, FakeTrack, make_workspace


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CC BY 4.0", "cc-by-4.0"),
        ("cc_by_4.0", "cc-by-4.0"),
        (" CC-BY-NC-SA 3.0 ", "cc-by-nc-sa-3.0"),
        ("https://creativecommons.org/licenses/by/4.0/", "cc-by-4.0"),
        ("http://creativecommons.org/licenses/by-nc-nd/2.5/legalcode", "cc-by-nc-nd-2.5"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("CC0-1.0", "cc0-1.0"),
        ("CC0 1.0", "cc0-1.0"),
        ("Creative Commons Attribution license (reuse allowed)", "cc-by"),
        ("Standard YouTube License", "standard-youtube-license"),
    ],
)
def test_a_licence_has_one_spelling(text: str, name: str) -> None:
    assert license_name(text) == name


@pytest.mark.parametrize(
    ("license", "allow", "unknown", "is_allowed"),
    [
        ("CC BY 4.0", ("cc-by-4.0",), "hold", True),
        ("CC BY 3.0", ("cc-by-4.0",), "hold", False),
        ("CC BY 3.0", ("cc-by",), "hold", True),
        ("CC BY-NC 4.0", ("cc-by",), "hold", False),
        ("Creative Commons Attribution license (reuse allowed)", ("CC-BY",), "hold", True),
        ("BSD-3-Clause AND CC BY 4.0", ("bsd-3-clause", "cc-by"), "hold", True),
        ("BSD-3-Clause AND CC BY-NC 4.0", ("bsd-3-clause", "cc-by"), "hold", False),
        ("CC BY 4.0, not for commercial use", ("cc-by",), "hold", False),
        ("anything", None, "hold", True),
        ("anything", (), "keep", False),
        (None, ("cc-by",), "keep", True),
        (None, ("cc-by",), "hold", False),
        ("  ", None, "hold", False),
    ],
)
def test_the_rule_of_the_recipe(license: str | None, allow: object, unknown: str, is_allowed: bool) -> None:
    assert allowed(license, RightsOptions.model_validate({"allow": allow, "unknown": unknown})) is is_allowed


LICENSES = {"v0": "CC BY 4.0", "v1": "Standard YouTube License", "v2": None, "v3": "=HYPERLINK(1)"}


def workspace_with(root: Path, rule: str) -> Workspace:
    tracks = (FakeTrack(track_id="t1"),)
    clips = [FakeClip(clip_id=f"c{v[1:]}", video_id=v, tracks=tracks, license=LICENSES[v]) for v in LICENSES]
    workspace = make_workspace(root, clips)
    with workspace.recipe.open("a") as recipe:
        recipe.write(f"\nrights: {rule}\n")
    return workspace


def test_what_is_held_is_never_exported_and_counted(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "ds", "{allow: [cc-by-4.0], unknown: hold}")
    report = export(workspace, FORMATS["ytvis"], ExportOptions(split="1/0/0"))
    assert report.as_dict()["clips_held"] == 3
    said = json.loads((workspace.exports / "ytvis" / "certificate.json").read_text())
    assert said["rights"]["clips_held"] == 3 and said["rights"]["rule"]["allow"] == ["cc-by-4.0"]
    assert [clip["clip_id"] for clip in said["clips"]] == ["c0"]
    ran = CliRunner().invoke(cli, ["-C", str(workspace.root), "export", "--split", "1/0/0", "--name", "x"])
    assert "3 clip(s) held by their licence" in ran.output, ran.output


def test_unknown_licences_are_kept_where_the_recipe_says_so(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "ds", "{allow: [cc-by-4.0], unknown: keep}")
    report = export(workspace, FORMATS["ytvis"], ExportOptions(split="1/1/0"))
    assert report.as_dict()["clips_held"] == 2


def test_a_rule_that_lets_nothing_out_says_so(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "ds", "{allow: [mit], unknown: hold}")
    with pytest.raises(DataError, match=r"all 4 clip\(s\) are held") as caught:
        export(workspace, FORMATS["ytvis"], ExportOptions(split="1/0/0"))
    assert "avis-data rights" in str(caught.value)


def test_the_list_of_rights_by_licence_and_as_csv_without_formulas(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "ds", "{allow: [cc-by], unknown: hold}")
    ran = CliRunner().invoke(cli, ["-C", str(workspace.root), "rights", "--csv", str(tmp_path / "r.csv"), "--json"])
    assert ran.exit_code in (0, None), ran.output
    told = json.loads(ran.stdout)
    assert {row["video_id"]: row["state"] for row in told["videos"]} == {
        **{"v0": "allowed", "v1": "held"},
        **{"v2": "held", "v3": "held"},
    }
    rows = {row["video_id"]: row for row in csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text()))}
    assert rows["v3"]["license"] == "'=HYPERLINK(1)" and rows["v0"]["license"] == "CC BY 4.0"
    assert rows["v0"]["accessed_on"] and rows["v0"]["url"].startswith("https://")
    table = CliRunner().invoke(cli, ["-C", str(workspace.root), "rights"]).output
    assert "4 video(s), 3 clip(s) of videos that are held" in table


def test_columns_of_the_list_reach_the_manifest_of_videos(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        "url,video_id,start,end,license,uploader,channel,upload_date\n"
        "https://example.org/a.mp4,v0,0,1,,Ann,,2024-02-29\n"
        "https://example.org/a.mp4,v0,1,2,CC0 1.0,Bob,City Sounds,\n"
    )
    found = read_video_list(path)
    assert found.problems == ()
    workspace = make_workspace(tmp_path / "ds", [FakeClip(clip_id="c0", video_id="v0", license="CC BY 4.0")])
    with Ledger(workspace.ledger) as ledger:
        assert len(list(wanted_clips(ledger))) == 1
        ledger.replace_wanted(["v0"], [(row.span.clip_id, CLIP_ROW.dump_json(row).decode()) for row in found.clips])
        write_manifests(workspace, ledger)
    (video,) = read_manifest(workspace.manifest / "videos.jsonl", Video)
    assert (video.license, video.uploader, video.channel) == ("CC0 1.0", "Ann", "City Sounds")
    assert (video.upload_date, bool(video.accessed_on)) == ("2024-02-29", True)


def test_a_day_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("url,upload_date\nhttps://example.org/a.mp4,29.2.2023\nhttps://example.org/b.mp4,2023-02-29\n")
    problems = [str(problem) for problem in read_video_list(path).problems]
    assert len(problems) == 2 and all("upload_date" in problem and "2026-01-31" in problem for problem in problems)


def test_videos_that_the_list_says_are_held_are_not_downloaded_where_the_recipe_skips_them(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "ds", "{allow: [cc-by], unknown: keep, held: skip}")
    path = tmp_path / "list.csv"
    path.write_text(
        "url,video_id,license\nhttps://a.example/1.mp4,new1,CC BY 4.0\n"
        "https://a.example/2.mp4,new2,All rights reserved\nhttps://a.example/3.mp4,new3,\n"
    )
    ran = CliRunner().invoke(cli, ["-C", str(workspace.root), "fetch", "--list", str(path), "--dry-run"])
    assert "2 to do" in ran.output and "1 held by its licence" in ran.output, ran.output


def test_a_wrong_rule_is_named_with_its_key(tmp_path: Path) -> None:
    workspace = workspace_with(tmp_path / "ds", "{allow: cc-by, unknown: perhaps}")
    ran = CliRunner().invoke(cli, ["-C", str(workspace.root), "rights"])
    text = ran.output + str(ran.exception)
    assert ran.exit_code != 0 and "rights.unknown" in text + str(getattr(ran.exception, "problems", ""))
