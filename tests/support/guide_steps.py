"""What the lines of the annotators' guide are at the page, from its table of keys on; in the guide's order."""

from __future__ import annotations

import numpy as np

from avis_data.annotation.labels.records import MaskOrigin
from avis_data.annotation.labels.store import read_round
from avis_data.masks.rle import Rle, decode
from support.guide import Line
from support.guide_walk import OTHER, SCREEN, Walk, step
from support.labelling_page import LabellingPage, signed_in
from support.studio import ANN, PASSWORD, REV, drawn_masks


def _press_verdicts(page: LabellingPage, line: Line) -> None:
    """Each verdict that a line names by the key that stands beside it."""
    page.page.keyboard.press("u")
    for keys, verdict in zip(line.keys, line.said, strict=True):
        page.page.keyboard.press(keys)
        page.page.wait_for_timeout(200)
        (chosen,) = [region for region in page.regions() if region["from_name"] == "verdict"]
        assert chosen["value"]["choices"] == [verdict]


def _inside(mask_HW: np.ndarray) -> tuple[int, int]:
    """A pixel of a mask with its neighbours in it."""
    shrunk = mask_HW[4:-4, 4:-4].copy()
    for dy, dx in ((0, 4), (8, 4), (4, 0), (4, 8)):
        shrunk &= mask_HW[dy : dy + shrunk.shape[0], dx : dx + shrunk.shape[1]]
    rows, columns = np.nonzero(shrunk)
    middle = len(rows) // 2
    return int(rows[middle]) + 4, int(columns[middle]) + 4


@step("1 to 8 | the first labels, in both rows at once")
def _(walk: Walk, _line: Line) -> None:
    walk.press("u")
    for key, identity in enumerate(walk.page.labels_shown()[:8], 1):
        walk.press(str(key))
        assert walk.selected() == [identity] * 2, key
        walk.press("u")


@step("0, 9 | `off-screen`, `silence`")
def _(walk: Walk, line: Line) -> None:
    for key, label in zip("09", line.code, strict=True):
        walk.press("u")
        walk.press(key)
        assert label in walk.selected()
        walk.press(key)


@step("u | select nothing")
def _(walk: Walk, line: Line) -> None:
    walk.page.select_region(walk.me)
    assert walk.page.num_selected() == 1
    walk.press(line.text[0])
    assert walk.page.num_selected() == 0
    walk.page.turn_to(0)  # to select a mask turned to its still


@step("M | smart tools")
def _(walk: Walk, line: Line) -> None:
    walk.page.choose_tool("brush-tool")
    smart = walk.page.page.locator(".lsf-tool_smart.lsf-tool_active")
    assert smart.count() == 0
    walk.press(line.text[0].lower())
    assert smart.count() > 0


@step("Ctrl+→, Ctrl+← | next, previous still")
def _(walk: Walk, line: Line) -> None:
    walk.turn(line)


@step("Ctrl+click | point on top of a mask")
def _(walk: Walk, _line: Line) -> None:
    y, x = _inside(walk.drawn()[walk.me, 0])
    walk.page.smart_point(walk.me, x, y, keys=("Control",))
    assert walk.page.num_selected() == 0
    walk.page.click_on_still(x, y)
    assert walk.page.num_selected() == 1
    walk.press("u")


@step("Ctrl+Alt+click | point that takes away")
def _(walk: Walk, _line: Line) -> None:
    y, x = _inside(walk.drawn()[walk.me, 0])
    walk.page.smart_point(walk.me, x, y, keys=("Control", "Alt"))
    assert not walk.drawn().get((walk.me, 0), np.zeros((y + 1, x + 1), bool))[y, x]


@step("Ctrl+Z | undo")
def _(walk: Walk, line: Line) -> None:
    walk.page.draw_span(OTHER, 2, 2)
    num = len(walk.page.regions())
    walk.press(line.keys[0].replace("+Z", "+z"))
    assert len(walk.page.regions()) == num - 1


@step("Shift+U, Shift+X, Shift+D |")
def _(walk: Walk, line: Line) -> None:
    _press_verdicts(walk.page, line)


@step("Ctrl+Enter | submit")
def _(walk: Walk, line: Line) -> None:
    with walk.page.page.expect_response(
        lambda answer: "/annotations" in answer.url and answer.request.method == "PATCH"
    ) as saved:
        walk.press(line.keys[0])
    assert saved.value.ok
    walk.masks = walk.drawn()


@step("An object has a mask **only while it sounds**")
def _(walk: Walk, _line: Line) -> None:
    walk.open(walk.studio.synthetic)
    walk.page.turn_to(2)
    walk.page.smart_box(walk.me, walk.studio.box_xywh)
    assert walk.stills(walk.me) == {0, 1, 2}
    walk.page.submit()
    walk.masks = walk.drawn()
    walk.studio.run("annotate", "pull")
    found = walk.studio.labelled("draft", walk.studio.synthetic)
    assert found.annotator == ANN and found.verdict == "done" and found.note == "one of two"
    (track,) = found.tracks
    assert [(span.start_s, span.end_s) for span in track.intervals] == [(0, 2)]
    assert [state.value for state in track.states] == ["sounding", "sounding", "silent", "hidden"]


@step("One object keeps one number through the whole clip")
def _(walk: Walk, _line: Line) -> None:
    (track,) = walk.studio.labelled("draft", walk.studio.synthetic).tracks
    assert track.identity == walk.me and [mask.frame for mask in track.masks] == [0, 1, 2]
    for mask in track.masks:
        pulled = decode(Rle(mask.height, mask.width, mask.counts)).astype(bool)
        np.testing.assert_array_equal(pulled, walk.masks[walk.me, mask.frame])
        assert mask.engine in ("grabcut", None) and mask.annotator == ANN and mask.round == "draft"
    assert track.masks[1].origin == MaskOrigin.PROPAGATED and track.masks[2].origin == MaskOrigin.CLICKED


@step("The mask covers what can be seen of the object")
def _(walk: Walk, _line: Line) -> None:
    _, _, wide, high = walk.studio.box_xywh
    mask = walk.masks[walk.me, 1]
    assert mask.sum() > 0.2 * wide * high


@step("Two of a kind of which one sounds")
def _(walk: Walk, line: Line) -> None:
    walk.open(walk.studio.real)
    walk.page.remove_spans()
    walk.page.choose_verdict(line.said[0])
    walk.page.submit()
    walk.studio.run("annotate", "pull")
    assert walk.studio.labelled("draft", walk.studio.real).verdict == line.said[0]


@step("What is heard and never seen gets no mask.")
def _(walk: Walk, _line: Line) -> None:
    found = walk.studio.labelled("draft", walk.studio.synthetic)
    assert [(span.start_s, span.end_s) for span in found.off_screen] == [(3, 4)] and not found.problems


@step("You see what the other person said")
def _(walk: Walk, line: Line) -> None:
    walk.studio.run("review", "start", "--reviewers", REV)
    reviewing = signed_in(walk.browser, walk.studio.server.url, email=REV, password=PASSWORD)
    walk.reviewer = walk.open_pages.enter_context(reviewing)
    walk.reviewer.page.set_viewport_size(SCREEN)
    walk.reviewer.open(*walk.studio.task("review", REV, walk.studio.synthetic))
    seen = drawn_masks(walk.reviewer)
    assert set(seen) == set(walk.masks) and all((seen[key] == walk.masks[key]).all() for key in seen)
    _press_verdicts(walk.reviewer, line)


@step("Where you send it back, say what is wrong")
def _(walk: Walk, line: Line) -> None:
    assert walk.reviewer is not None
    for reason in line.said:
        walk.reviewer.choose_verdict(reason)
    (chosen,) = [region["value"]["choices"] for region in walk.reviewer.regions() if region["from_name"] == "reason"]
    assert sorted(chosen) == sorted(line.said)
    walk.reviewer.write_note("it is silent in second 1")
    walk.reviewer.shot(walk.studio.pictures / "review.png")
    walk.reviewer.submit()
    assert [project.annotator for project in read_round(walk.studio.workspace, "review").projects] == [REV]


@step("What is sent back comes to whoever labelled it")
def _(walk: Walk, line: Line) -> None:
    assert walk.reviewer is not None
    walk.studio.run("annotate", "pull")
    walk.studio.run("review", "start", "--reviewers", REV)
    walk.open(walk.studio.synthetic, "fix")
    assert "it is silent in second 1" in walk.page.text()
    walk.page.shot(walk.studio.pictures / "fix.png")
    walk.page.remove_spans()
    walk.page.draw_span(walk.me, 0, 0)
    walk.page.choose_verdict(line.said[0])
    walk.page.submit()
    walk.studio.run("annotate", "pull")
    walk.studio.run("review", "start", "--reviewers", REV)
    walk.reviewer.open(*walk.studio.task("review-2", REV, walk.studio.synthetic))
    walk.reviewer.choose_verdict("accept")
    walk.reviewer.submit()
    walk.studio.run("annotate", "pull")
    assert {track.identity for track in walk.studio.labelled("draft", walk.studio.synthetic).tracks} == {walk.me}


@step("Ctrl+→ does nothing |")
def _(walk: Walk, line: Line) -> None:
    walk.strange = walk.studio.own_page("strange", [walk.me, OTHER])
    walk.page.open(*walk.strange)
    walk.page.page.get_by_placeholder("another label").last.click()
    walk.press(line.keys[0])
    walk.wait_for_page(1)
    walk.page.page.locator(".avis-said").click(position={"x": 150, "y": 250})
    for key, page in ((line.keys[0], 2), ("Control+ArrowLeft", 1)):
        walk.press(key)
        walk.wait_for_page(page)


@step("a click brings no mask |")
def _(walk: Walk, line: Line) -> None:
    x, y, wide, high = walk.studio.box_xywh
    with walk.page.refused(line.said[0]):
        walk.page.stroke((x, y), (x + wide, y + high))
    assert walk.drawn() == {} and walk.page.regions() == []
    walk.page.smart_box(walk.me, walk.studio.box_xywh)
    assert walk.stills(walk.me) == {0}
    assert {region["type"] for region in walk.page.regions()} == {"brush", "labels"}


@step("a click selects a mask instead of adding a point |")
def _(walk: Walk, _line: Line) -> None:
    y, x = _inside(walk.drawn()[walk.me, 0])
    walk.page.choose_smart_tool("key-point-tool")
    walk.page.click_on_still(x, y)
    assert walk.page.num_selected() == 1
    walk.page.smart_point(walk.me, x, y, keys=("Control",))


@step("a box fills one still only |")
def _(walk: Walk, _line: Line) -> None:
    assert walk.stills(walk.me) == {0}
    walk.page.draw_span(walk.me, 0, 1)
    walk.page.smart_box(walk.me, walk.studio.box_xywh)
    assert walk.stills(walk.me) == {0, 1}


@step("a second mask instead of a better one |")
def _(walk: Walk, _line: Line) -> None:
    walk.page.smart_box(OTHER, walk.studio.box_xywh)
    assert walk.stills(walk.me) == {0, 1} and walk.stills(OTHER) == {0}


@step("a rectangle stays on the picture |")
def _(walk: Walk, _line: Line) -> None:
    walk.page.turn_to(3)
    walk.toggle("Auto-Accept Suggestions").click()
    walk.page.page.evaluate("() => document.activeElement.blur()")
    walk.page.smart_box(OTHER, walk.studio.box_xywh)
    assert walk.stills(OTHER) == {0}
    walk.page.page.locator("[data-testid=bottombar-accept-suggestions-button]").click()
    walk.page.page.wait_for_timeout(1000)
    assert walk.stills(OTHER) == {0, 3}


@step("there are no smart tools |")
def _(walk: Walk, line: Line) -> None:
    smart = walk.page.page.locator(".lsf-tool_smart")
    for is_on in (False, True):
        walk.toggle(line.strong[0]).click()
        smart.first.wait_for(state="attached" if is_on else "detached")


@step("*Nothing is saved* above the page |")
def _(walk: Walk, line: Line) -> None:
    walk.open_strange()
    walk.page.page.context.clear_cookies()
    walk.page.choose_label(OTHER)
    walk.page.choose_tool("brush-tool")
    walk.page.stroke((300, 60), (340, 60))
    told = walk.page.page.get_by_text(line.said[0])
    told.wait_for()
    other = walk.page.page.context.new_page()
    walk.sign_in(other)
    told.wait_for(state="detached")
    other.close()
    walk.page.page.bring_to_front()
    before = walk.drawn()
    assert before[OTHER, 0][60, 320]
    walk.open_strange()
    after = walk.drawn()
    assert set(after) == set(before) and all((after[key] == before[key]).all() for key in before)


@step("The page saves what you draw by itself")
def _(walk: Walk, _line: Line) -> None:
    walk.page.choose_label(OTHER)
    walk.page.choose_tool("brush-tool")
    with walk.page.page.expect_response(lambda answer: "/drafts/" in answer.url and answer.ok):
        walk.page.stroke((300, 100), (340, 100))
    drawn = walk.drawn()[OTHER, 0]
    assert drawn[100, 320]
    walk.open_strange()
    assert (walk.drawn()[OTHER, 0] == drawn).all()
