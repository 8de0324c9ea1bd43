"""What the lines of the annotators' guide are at the page, up to the verdict; in the guide's order."""

from __future__ import annotations

import re

import numpy as np

from avis_data.annotation.labelstudio.client import LabelStudio
from support.guide import Line
from support.guide_walk import OTHER, Walk, step


@step("You say **who sounds, and when**")
def _(walk: Walk, _line: Line) -> None:
    walk.open(walk.studio.synthetic)
    assert walk.studio.synthetic in walk.page.page.locator(".avis-known").inner_text()


@step("From above:")
def _(walk: Walk, _line: Line) -> None:
    parts = (".avis-known", ".lsf-video-canvas", ".avis-labels", ".avis-labels + .avis-labels", ".lsf-image")
    tops = [walk.page.place(part)["y"] for part in parts]
    assert tops == sorted(tops)
    video, timeline = walk.page.place(".lsf-video-canvas"), walk.page.place(".lsf-timeline-frames")
    assert timeline["x"] >= video["x"] + video["width"] and timeline["y"] < video["y"] + video["height"]
    still, verdict, note = (walk.page.place(part) for part in (".lsf-image", ".lsf-choices", "textarea"))
    assert verdict["x"] >= still["x"] + still["width"] and note["x"] >= still["x"] + still["width"]
    pages, seconds = ".lsf-pagination__page-indicator", ".lsf-frames-control"
    assert [" ".join(walk.page.page.locator(place).inner_text().split()) for place in (pages, seconds)] == [
        "1 of 4",
        "1 of 4",
    ]


@step("The labels are those that the clip is likely to need.")
def _(walk: Walk, line: Line) -> None:
    shown = walk.page.labels_shown()
    assert walk.me in shown and len(shown) < 12
    category = walk.me.rpartition("_")[0]
    last = max(name for name in shown if name.startswith(f"{category}_"))
    walk.page.choose_label(last)
    (new,) = set(walk.page.labels_shown()) - set(shown)
    assert new.rpartition("_")[0] == category
    hidden = next(name for name in walk.page.labels() if name not in (*shown, new))
    find = walk.page.page.get_by_placeholder(line.said[0]).last
    find.fill(hidden)
    find.press("Enter")
    assert walk.selected() == [hidden]


@step("On a server of `avis-data annotate serve`")
def _(walk: Walk, _line: Line) -> None:
    assert walk.is_on("Auto-Annotation") and walk.is_on("Auto-Accept Suggestions")
    tool = walk.page.page.locator(".lsf-tool_smart.lsf-tool_active[aria-label=rectangle-tool]")
    assert tool.count() == 1


@step("Switch on **Auto-Annotation**")
def _(walk: Walk, line: Line) -> None:
    for name in line.strong:
        for is_on in (False, True):
            walk.toggle(name).click()
            assert walk.is_on(name) == is_on


@step("**Settings** (above, right)")
def _(walk: Walk, line: Line) -> None:
    walk.page.page.get_by_role("button", name=line.strong[0], exact=True).click()
    assert walk.page.page.get_by_label(line.said[0]).is_checked()
    walk.page.page.locator(".ant-modal-close").click()
    walk.page.page.locator(".ant-modal-wrap").wait_for(state="hidden")


@step("All of it is kept in your browser.")
def _(walk: Walk, _line: Line) -> None:
    walk.toggle("Auto-Accept Suggestions").click()
    walk.open(walk.studio.synthetic)
    assert not walk.is_on("Auto-Accept Suggestions")
    walk.toggle("Auto-Accept Suggestions").click()


@step("Where the first still of a clip lacks its margins")
def _(walk: Walk, _line: Line) -> None:
    walk.page.page.locator(".lsf-tool[aria-label=zoom-out]").click()
    walk.page.page.wait_for_timeout(300)
    assert walk.page.margin_cut_off() < 0.02


@step("Spans that are there already are guesses from speech or loudness")
def _(walk: Walk, line: Line) -> None:
    assert line.code == ["silence"] and line.keys == ["Backspace"]
    walk.page.remove_spans()


@step("Play the clip from its start.")
def _(walk: Walk, _line: Line) -> None:
    walk.page.page.locator("[aria-label=Play]").click()
    walk.page.page.wait_for_function("() => !/^1\\b/.test(document.querySelector('.lsf-frames-control').innerText)")
    if (stop := walk.page.page.locator("[aria-label=Pause]")).count():
        stop.click()


@step("Choose the label of what you hear in the **upper** row")
def _(walk: Walk, line: Line) -> None:
    assert set(line.code) <= set(walk.page.labels())
    walk.page.choose_sound_label(walk.me)
    assert walk.page.page.locator(".lsf-labels").first.locator(".lsf-label_selected").count() == 1


@step("Draw on the timeline over the seconds")
def _(walk: Walk, _line: Line) -> None:
    walk.page.draw_span(OTHER, 2, 3)
    walk.page.draw_span(walk.me, 0, 1)
    spans = {region["value"]["timelinelabels"][0]: region["value"]["ranges"] for region in walk.page.regions()}
    assert spans == {OTHER: [{"start": 3, "end": 4}], walk.me: [{"start": 1, "end": 2}]}


@step("Press `u` before the next one")
def _(walk: Walk, line: Line) -> None:
    def labels() -> set[str]:
        return {region["value"]["timelinelabels"][0] for region in walk.page.regions()}

    row = walk.page.page.locator(".lsf-keypoints__label", has_text=OTHER)
    row.click()
    walk.page.click_sound_label("off-screen")
    assert labels() == {walk.me, "off-screen"}, "what is selected takes the label"
    walk.press(line.code[0])
    walk.page.click_sound_label("silence")
    assert labels() == {walk.me, "off-screen"}
    walk.press(line.code[0])
    walk.page.page.locator(".lsf-keypoints__label", has_text="off-screen").click()
    walk.press("Backspace")
    assert labels() == {walk.me}


@step("What you hear and never see is `off-screen`")
def _(walk: Walk, line: Line) -> None:
    walk.page.draw_span(line.code[0], 3, 3)


@step("Choose the same label in the **lower** row.")
def _(walk: Walk, _line: Line) -> None:
    walk.page.choose_label(walk.me)
    assert walk.page.page.locator(".lsf-labels").last.locator(".lsf-label_selected").count() == 1


@step("With the smart **box**")
def _(walk: Walk, line: Line) -> None:
    walk.press(line.code[0].lower())
    walk.page.smart_box(walk.me, walk.studio.box_xywh)
    assert walk.stills(walk.me) == {0, 1}, "one box fills the seconds that were marked"
    walk.page.shot(walk.studio.pictures / "draft.png")


@step("Turn the pages")
def _(walk: Walk, line: Line) -> None:
    walk.turn(line)


@step("Where a mask is wrong, take the smart **point**")
def _(walk: Walk, _line: Line) -> None:
    before = walk.drawn()
    walk.page.smart_point(walk.me, 400, 60, keys=("Control",))
    more = walk.drawn()
    assert more[walk.me, 0][60, 400] and not (before[walk.me, 0] & ~more[walk.me, 0]).any()
    walk.page.smart_point(walk.me, 400, 60, keys=("Control", "Alt"))
    less = walk.drawn()
    assert not less[walk.me, 0][60, 400]
    np.testing.assert_array_equal(less[walk.me, 1], before[walk.me, 1])


@step("**Brush** and **eraser** do the rest")
def _(walk: Walk, _line: Line) -> None:
    x, y, wide, high = walk.studio.box_xywh
    made = walk.drawn()[walk.me, 0]
    walk.page.select_region(walk.me)
    walk.page.choose_tool("brush-tool")
    walk.page.stroke((x + wide + 20, y), (x + wide + 40, y + 20))
    walk.page.choose_tool("eraser")
    walk.page.stroke((x + wide / 2, y + high / 2), (x + wide / 2 + 10, y + high / 2))
    drawn = walk.drawn()[walk.me, 0]
    brushed, erased = drawn & ~made, made & ~drawn
    assert brushed.sum() > 100 and erased.sum() > 20
    walk.page.smart_point(walk.me, 400, 60)
    found = walk.drawn()[walk.me, 0]
    assert found[60, 400] and (found & brushed).sum() == brushed.sum() and not (found & erased).any()


@step("Choose *done*; or *unsure*")
def _(walk: Walk, line: Line) -> None:
    walk.page.submit_expecting("Choose a verdict")
    for verdict in reversed(line.said):
        walk.page.choose_verdict(verdict)
        assert walk.verdict() == [verdict]


@step("Write the note, press Shift+Enter, submit.")
def _(walk: Walk, line: Line) -> None:
    assert line.keys == ["Shift+Enter"]
    walk.page.write_note("one of two")
    walk.page.submit()
    walk.masks = walk.drawn()


@step("*Skip* (under *Label All Tasks*)")
def _(walk: Walk, line: Line) -> None:
    project, task = walk.studio.own_page("skipped", [walk.me])
    page = walk.page.page
    page.goto(f"{walk.studio.server.url}/projects/{project}/data")
    page.get_by_text(re.compile(line.said[1], re.IGNORECASE)).first.click()
    with page.expect_response(lambda answer: "/annotations" in answer.url and answer.request.method == "POST"):
        page.get_by_text(line.said[0], exact=True).click()
    client = LabelStudio(walk.studio.server.url, walk.studio.server.token)
    (skipped,) = client.annotations(task, skipped=True) or ()
    assert skipped.was_cancelled
    walk.open(walk.studio.synthetic)
