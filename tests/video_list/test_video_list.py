"""The list of videos: what it accepts, the ids it gives, and that every bad row is named with line and column."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from avis_data.errors import DataError
from avis_data.video_list import VideoList, clip_id_of, read_video_list, seconds_from_text
from support.places import ROOT

HOST = "https://media.example"


def read(folder: Path, text: str | bytes, **options: object) -> VideoList:
    path = folder / "videos.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_video_list(path, **options)  # type: ignore[arg-type]


def found(result: VideoList) -> list[tuple[str, str]]:
    return [(problem.where, problem.field) for problem in result.problems]


def test_every_column_arrives_where_it_belongs(tmp_path: Path) -> None:
    result = read(
        tmp_path,
        "url,video_id,start,end,categories,license,split\n"
        f'{HOST}/a.mp4,cello,1:02.5,72,"cello; violin|cello",CC BY 4.0,train\n'
        f"{HOST}/b.mp4,horn,,,,,\n",
    )
    first, second = result.clips
    assert result.problems == ()
    assert (first.span.video_id, first.span.start_s, first.span.end_s) == ("cello", 62.5, 72.0)
    assert first.span.clip_id == "cello_062500_072000"
    assert (first.categories, first.license, first.split) == (("cello", "violin"), "CC BY 4.0", "train")
    assert (second.span.clip_id, second.span.start_s, second.span.end_s) == ("horn", 0.0, None)
    assert (second.categories, second.license, second.split) == ((), None, None)
    assert [(item.video_id, item.url) for item in result.downloads] == [
        ("cello", f"{HOST}/a.mp4"),
        ("horn", f"{HOST}/b.mp4"),
    ]


def test_a_scenario_is_one_or_several_of_four(tmp_path: Path) -> None:
    given = ("Music", "animal; music", "", "dancing", "music;musik")
    rows = "".join(f"{HOST}/{number}.mp4,{about}\n" for number, about in enumerate(given))
    result = read(tmp_path, f"url,scenario\n{rows}")
    assert [row.scenarios for row in result.clips] == [("music",), ("music", "animal"), ()]
    assert found(result) == [("line 5", "scenario"), ("line 6", "scenario")]
    assert "music, speaking, machine, animal" in str(result.problems[0]) and "'dancing'" in str(result.problems[0])
    assert "'musik'" in str(result.problems[1])


def test_bom_crlf_comments_blank_lines_quotes_and_missing_trailing_cells(tmp_path: Path) -> None:
    text = (
        "\ufeff# a list\r\n\r\nURL , Start,end\r\n"
        f'"{HOST}/a.mp4", 1 , 2\r\n# "odd quote in a comment, and , commas\r\n,,\r\n{HOST}/b.mp4\r\n'
    )
    result = read(tmp_path, text)
    assert result.problems == ()
    assert [(clip.span.start_s, clip.span.end_s) for clip in result.clips] == [(1.0, 2.0), (0.0, None)]


def test_every_bad_row_is_named_once_with_line_and_column(tmp_path: Path) -> None:
    result = read(
        tmp_path,
        "url,video_id,start,end,split\n"
        "# comments count as lines\n"
        f"{HOST}/good.mp4,good,0,10,train\n"
        "ftp://media.example/a.mp4,a,0,10,train\n"
        f"{HOST}/b.mp4,../b,0,10,train\n"
        f"{HOST}/c.mp4,c,ten,10,train\n"
        f"{HOST}/d.mp4,d,10,10,train\n"
        f"{HOST}/e.mp4,e,0,10,testing\n"
        ",f,0,10,train\n"
        f"{HOST}/g.mp4,g/g,-1,1:75,learn\n"
        f"{HOST}/h.mp4,h,0,10,train,more\n"
        "some words,i,0,10,train\n"
        f"{HOST}/j.mp4,j,0,nan,train\n",
    )
    assert found(result) == [
        ("line 4", "url"),
        ("line 5", "video_id"),
        ("line 6", "start"),
        ("line 7", "end"),
        ("line 8", "split"),
        ("line 9", "url"),
        ("line 10", "video_id"),
        ("line 10", "start"),
        ("line 10", "end"),
        ("line 10", "split"),
        ("line 11", ""),
        ("line 12", "url"),
        ("line 13", "end"),
    ]
    assert [clip.span.clip_id for clip in result.clips] == ["good_000000_010000"]
    assert [item.video_id for item in result.downloads] == ["good"]


def test_a_record_over_several_lines_is_named_by_its_first_and_the_count_stays_right(tmp_path: Path) -> None:
    text = f'url,license,split\n{HOST}/a.mp4,"two\n# lines",no\n# x\n{HOST}/b.mp4,"two\n# lines"\n{HOST}/c.mp4,,no\n'
    result = read(tmp_path, text)
    assert found(result) == [("line 2", "split"), ("line 7", "split")]
    assert result.clips[0].license == "two\n# lines"


def test_broken_quotes_cost_their_row_only(tmp_path: Path) -> None:
    result = read(tmp_path, f'url,license\n"{HOST}/a.mp4"x,CC0\n{HOST}/b.mp4,CC0\n{HOST}/c.mp4,"never closed\n')
    assert found(result) == [("line 2", ""), ("line 4", "")]
    assert "quote" in str(result.problems[0])
    assert len(result.clips) == 1


def test_unknown_and_doubled_columns_are_problems_that_name_the_near_match(tmp_path: Path) -> None:
    result = read(tmp_path, f"url,strat,licence,start,start,zzz\n{HOST}/a.mp4,1,CC0,3,4,5\n")
    assert found(result) == [("line 1", column) for column in ("strat", "licence", "start", "zzz")]
    assert "'start'" in result.problems[0].message
    assert "'license'" in result.problems[1].message
    assert "twice" in result.problems[2].message
    assert "video_id" in result.problems[3].message, "with no near match, all columns are named"
    assert result.clips[0].span.start_s == 3.0, "the rows themselves are good, for those who skip bad ones"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no video"),
        (b"url,start\n# nothing\n", "holds no video"),
        (b"link,start\nhttps://media.example/a.mp4,1\n", "no column `url`"),
        (b"url;start\nhttps://media.example/a.mp4;1\n", "parted by ','"),
        ("url\nhttps://media.example/é.mp4\n".encode("latin-1"), "line 2"),
        ("url\nhttps://media.example/a.mp4\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_a_file_that_is_no_such_list_is_an_error(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path, data)


def test_a_missing_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.csv"):
        read_video_list(tmp_path / "nothing.csv")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0.0), ("12.25", 12.25), ("1:02", 62.0), ("61:00", 3660.0), ("1:00:02.5", 3602.5), ("100:00:00", 360000.0)],
)
def test_times(text: str, seconds: float) -> None:
    assert seconds_from_text(text) == seconds


@pytest.mark.parametrize(
    "text", ["-1", "1:60", "1:60:00", "1:2:3:4", "1e3", "inf", "nan", "1,5", "", " ", "٣", "1.", ":5"]
)
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"found|59"):
        seconds_from_text(text)


@pytest.mark.parametrize(
    "url",
    [
        "dQw4w9WgXcQ",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://m.youtube.com/watch?list=PL1&v=dQw4w9WgXcQ&t=43",
        "https://music.youtube.com/watch?v=dQw4w9WgXcQ",
        "http://youtu.be/dQw4w9WgXcQ?si=x",
        "https://youtube.com/shorts/dQw4w9WgXcQ",
        "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ?rel=0",
        "https://www.YouTube.com/live/dQw4w9WgXcQ",
    ],
)
def test_every_way_to_write_a_youtube_video_gives_its_id(tmp_path: Path, url: str) -> None:
    result = read(tmp_path, f'url\n"{url}"\n')
    assert [(item.video_id, item.url) for item in result.downloads] == [
        ("dQw4w9WgXcQ", "https://www.youtube.com/watch?v=dQw4w9WgXcQ")
    ]


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/playlist?list=PL123",
        "https://www.youtube.com/@someone",
        "https://media.example:x/a.mp4",
        "https:///a.mp4",
        "http://",
        "http://[::1/a.mp4",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "/etc/passwd",
        "https://media.example/a.mp4#__youtubedl_smuggle=%7B%7D",
        "https://media.example/a b.mp4",
    ],
)
def test_urls_that_are_refused(tmp_path: Path, url: str) -> None:
    assert found(read(tmp_path, f'url,start\n"{url}",1\n')) == [("line 2", "url")]


def test_a_refused_url_does_not_show_its_password(tmp_path: Path) -> None:
    result = read(tmp_path, "url\nftp://me:hunter2@media.example/a.mp4?token=hunter3\n")
    assert "media.example" in str(result.problems[0])
    assert "hunter" not in str(result.problems[0])


def test_ids_of_other_urls_are_readable_and_differ_where_the_urls_do(tmp_path: Path) -> None:
    urls = [f"{HOST}/one/My%20Cello%20(2).mp4", f"{HOST}/two/My%20Cello%20(2).mp4", f"{HOST}/", f"{HOST}/x?id=3"]
    result = read(tmp_path, "\n".join(["url", *urls]))
    ids = [item.video_id for item in result.downloads]
    assert len(set(ids)) == 4
    assert [name.rpartition("_")[0] for name in ids] == ["My_Cello_2", "My_Cello_2", "video", "x"]


def test_rows_of_one_url_share_its_id_also_when_only_a_later_row_gives_it(tmp_path: Path) -> None:
    result = read(tmp_path, f"url,video_id,start,end\n{HOST}/a.mp4,,0,5\n{HOST}/a.mp4,cello,5,10\n")
    assert [clip.span.clip_id for clip in result.clips] == ["cello_000000_005000", "cello_005000_010000"]
    assert [item.video_id for item in result.downloads] == ["cello"]


def test_one_id_for_two_urls_and_two_ids_for_one_url_are_problems(tmp_path: Path) -> None:
    result = read(
        tmp_path,
        "url,video_id,start,end\n"
        f"{HOST}/a.mp4,cello,0,5\n{HOST}/b.mp4,cello,5,10\n{HOST}/c.mp4,horn,0,5\n{HOST}/c.mp4,tuba,5,10\n",
    )
    assert found(result) == [("line 3", "video_id"), ("line 5", "video_id")]
    assert "line 2" in result.problems[0].message
    assert "'horn'" in result.problems[1].message


def test_overlapping_rows_are_named_with_both_lines_and_touching_ones_are_not(tmp_path: Path) -> None:
    rows = ["0,10", "10,20", "9.999,11", "30,", "29,31", "25,30", "1:00:00,1:00:10"]
    result = read(tmp_path, "url,start,end\n" + "".join(f"{HOST}/a.mp4,{row}\n" for row in rows))
    assert [(problem.where, problem.message[-6:]) for problem in result.problems] == [
        ("line 4", "line 2"),
        ("line 6", "line 5"),
        ("line 8", "line 5"),
    ]
    assert len(result.clips) == 4


def test_a_row_without_span_overlaps_everything_of_its_video(tmp_path: Path) -> None:
    result = read(
        tmp_path, f"url,start,end\n{HOST}/a.mp4,,\n{HOST}/a.mp4,500,501\n{HOST}/b.mp4,500,501\n{HOST}/b.mp4,,\n"
    )
    assert found(result) == [("line 3", "start"), ("line 5", "start")]


@pytest.mark.parametrize("seed", range(5))
def test_overlaps_equal_those_found_by_comparing_all_pairs(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    spans = [(start, start + rng.randint(1, 40)) for start in (rng.randint(0, 400) for _ in range(60))]
    result = read(tmp_path, "url,start,end\n" + "".join(f"{HOST}/a.mp4,{start},{end}\n" for start, end in spans))
    kept: list[tuple[int, int]] = []
    refused = []
    for line, (start, end) in enumerate(spans, start=2):
        if any(set(range(start, end)) & set(range(*other)) for other in kept):
            refused.append(f"line {line}")
        else:
            kept.append((start, end))
    assert [problem.where for problem in result.problems] == refused
    assert [(clip.span.start_s, clip.span.end_s) for clip in result.clips] == kept


def test_clip_ids_are_safe_short_and_unique() -> None:
    videos = ["v", "-aaaaaaaaaa", "x" * 64, "x" * 63 + "y", "x" * 50]
    times = [0.0, 0.0014, 12.5, 99999.0, 999999999.0]
    spans = [(start, end) for start, end in itertools.product(times, [*times[2:], None]) if end is None or end > start]
    ids = [clip_id_of(video, start, end) for video in videos for start, end in spans]
    assert len(set(ids)) == len(videos) * len(spans)
    assert max(map(len, ids)) <= 64
    assert clip_id_of("v", 0, None) == "v"
    assert clip_id_of("v", 62.5, 1072) == "v_062500_1072000"
    assert clip_id_of("v", 3, None) == "v_003000_end"


def test_a_clip_id_that_equals_another_videos_is_a_problem(tmp_path: Path) -> None:
    result = read(tmp_path, f"url,video_id,start,end\n{HOST}/a.mp4,v,0,1\n{HOST}/b.mp4,v_000000_001000,,\n")
    assert found(result) == [("line 3", "video_id")]
    assert "line 2" in result.problems[0].message


def test_the_default_duration_is_for_rows_with_a_start_and_no_end(tmp_path: Path) -> None:
    result = read(tmp_path, f"url,start,end\n{HOST}/a.mp4,3,\n{HOST}/b.mp4,,\n{HOST}/c.mp4,3,4\n", default_duration_s=5)
    assert [(clip.span.start_s, clip.span.end_s) for clip in result.clips] == [(3.0, 8.0), (0.0, None), (3.0, 4.0)]


def test_local_files_are_relative_to_the_list_and_need_permission(tmp_path: Path) -> None:
    lists, media = tmp_path / "lists", tmp_path / "media"
    lists.mkdir()
    media.mkdir()
    (media / "a b#1.mp4").write_bytes(b"x")
    text = (
        f"url\n../media/a b#1.mp4\n{media}/a b#1.mp4\n../media/none.mp4\n../media\n{(media / 'a b#1.mp4').as_uri()}\n"
    )
    result = read(lists, text, allow_local=True)
    assert found(result) == [("line 3", "start"), ("line 6", "start")]
    assert [item.url for item in result.downloads] == [
        path.as_uri() for path in (media / "a b#1.mp4", media / "none.mp4", media)
    ], "what is there and what is not is found out when it is fetched"
    assert found(read(lists, text)) == [(f"line {line}", "url") for line in range(2, 7)]
    assert "--allow-local" in read(lists, text).problems[0].message


def test_ids_of_local_files_do_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    ids = []
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mp4").write_bytes(b"x")
        ids.append(read(tmp_path / name, "url\n./a.mp4\n", allow_local=True).downloads[0].video_id)
    assert ids[0] == ids[1]


def test_audioset_lists_are_recognised(tmp_path: Path) -> None:
    result = read(
        tmp_path,
        "# Segments csv created Sun Mar  5 10:54:31 2017\n"
        "# num_ytids=20383, num_segs=20383, num_unique_labels=527, num_positive_labels=51804\n"
        "# YTID, start_seconds, end_seconds, positive_labels\n"
        '--4gqARaEJE, 0.000, 10.000, "/m/068hy,/m/07q6cd_,/m/0bt9lr,/m/0jbk"\n'
        '-0_Vp5AUDiA, 30.000, 20.000, "/m/01b_21"\n',
    )
    clip = result.clips[0]
    assert (clip.span.clip_id, clip.span.end_s) == ("--4gqARaEJE_000000_010000", 10.0)
    assert clip.categories == ("/m/068hy", "/m/07q6cd_", "/m/0bt9lr", "/m/0jbk")
    assert found(result) == [("line 5", "end_seconds")], "columns are called as the file calls them"


def test_vggsound_lists_are_recognised(tmp_path: Path) -> None:
    text = (
        '---g-f_I2yQ,1,people marching,test\n--0PQM4-hqg,30,"waterfall burbling, loud",train\n--0PQM4-hqg,35,x,train\n'
    )
    result = read(tmp_path, text)
    assert [(clip.span.start_s, clip.span.end_s) for clip in result.clips] == [(1.0, 11.0), (30.0, 40.0)]
    assert [clip.categories for clip in result.clips] == [("people marching",), ("waterfall burbling, loud",)]
    assert [clip.split for clip in result.clips] == ["test", "train"]
    assert found(result) == [("line 3", "start_seconds")]


def test_a_plain_list_of_links_needs_no_header(tmp_path: Path) -> None:
    result = read(tmp_path, f"{HOST}/a.mp4\ndQw4w9WgXcQ\n")
    assert [item.url for item in result.downloads] == [f"{HOST}/a.mp4", "https://www.youtube.com/watch?v=dQw4w9WgXcQ"]


@pytest.mark.parametrize(
    "link",
    [
        f"{HOST}/a,b.mp4",
        f"{HOST}/i/clip_,300,600,.mp4.csmil/master.m3u8",
        f"{HOST}/watch?ids=1,v=2",
        f"{HOST}/A,B.MP4",
    ],
)
def test_a_plain_list_of_links_may_hold_commas(tmp_path: Path, link: str) -> None:
    for lines in ([link, f"{HOST}/c.mp4"], [f"{HOST}/c.mp4", link], [f'"{link}"', "dQw4w9WgXcQ"]):
        result = read(tmp_path, "\n".join(lines))
        assert result.problems == ()
        assert link in [item.url for item in result.downloads]
        assert len(result.downloads) == 2


@pytest.mark.parametrize("row", ["0,10", "1:00,1:10", "cello,0,10", "cello", ",,cat;dog", "12.5", f"{HOST}/b.mp4"])
def test_a_list_with_columns_and_no_header_is_no_list_of_links(tmp_path: Path, row: str) -> None:
    with pytest.raises(DataError, match=r"no column `url`.* in quotes"):
        read(tmp_path, f"{HOST}/a.mp4,{row}\n")
    result = read(tmp_path, f"{HOST}/z.mp4\n{HOST}/a.mp4,{row}\n")
    assert found(result) == [("line 2", "")]


def test_scheme_and_host_are_the_same_in_small_and_capital_letters(tmp_path: Path) -> None:
    rows = ["http://h.org/x.mp4,0,1", "HTTP://H.org/x.mp4,1,2", "Http://h.ORG/x.mp4,1,2", "http://h.org/X.mp4,0,1"]
    result = read(tmp_path, "\n".join(["url,start,end", *rows]))
    assert [item.url for item in result.downloads] == ["http://h.org/x.mp4", "http://h.org/X.mp4"]
    assert found(result) == [("line 4", "start")]
    kept = read(tmp_path, "url\nHTTP://Me:Pw@H.org:80/A?B=C%2f#D\nHTTP://H.org?A=B\n")
    urls = [kept.signed.get(item.url, item.url) for item in kept.downloads]
    assert urls == ["http://Me:Pw@h.org:80/A?B=C%2f#D", "http://h.org?A=B"]
    assert kept.downloads[0].url == "http://REDACTED@h.org:80/A?B=C%2f#D", "what is asked for, without secrets"


def test_a_plain_list_knows_links_in_capital_letters(tmp_path: Path) -> None:
    result = read(tmp_path, "HTTP://H.org/x.mp4\nhttp://h.org/y.mp4\n")
    assert [item.url for item in result.downloads] == ["http://h.org/x.mp4", "http://h.org/y.mp4"]


def test_rows_that_are_left_out_are_counted_once_and_the_header_is_none(tmp_path: Path) -> None:
    result = read(tmp_path, f"url,strat,start,end\n{HOST}/a.mp4,,x,y\n{HOST}/b.mp4,,0,1\n,,0,1\n")
    assert found(result) == [("line 1", "strat"), ("line 2", "start"), ("line 2", "end"), ("line 4", "url")]
    assert result.lines_left_out == (2, 4)


def test_a_hundred_thousand_rows_are_read_whole(tmp_path: Path) -> None:
    rows = (f"{HOST}/{number // 2}.mp4,{number % 2 * 10},{number % 2 * 10 + 10},cat;dog\n" for number in range(100_000))
    result = read(tmp_path, "url,start,end,categories\n" + "".join(rows))
    assert (len(result.downloads), len(result.clips), len(result.problems)) == (50_000, 100_000, 0)
    assert len({clip.span.clip_id for clip in result.clips}) == 100_000


@pytest.mark.parametrize("name", ["sample.csv", "videos-template.csv"])
def test_the_lists_that_ship_are_good(name: str) -> None:
    path = ROOT / "manifests" / name
    result = read_video_list(path)
    assert result.problems == ()
    assert all(clip.license for clip in result.clips)
