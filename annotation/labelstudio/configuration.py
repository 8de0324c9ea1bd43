"""The page that people work in, as Label Studio's labelling configuration, and the names that results carry.

What is in it was tried in a browser; the server checks little, so a change needs a look at the page. `TimelineLabels`
stands before the other tag that takes its labels from the task, else the server refuses tasks.
"""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET
from importlib.resources import files

from avis_data.annotation.labels.records import RoundKind, Verdict

__all__ = [
    "BOX",
    "BRUSH",
    "IMAGE",
    "LABELS",
    "NOTE",
    "OFF_SCREEN",
    "POINT",
    "REASON",
    "REASONS",
    "SILENCE",
    "TIMELINE",
    "VERDICT",
    "VERDICTS",
    "VIDEO",
    "joined_config",
    "label_config",
    "same_config",
]

VIDEO, TIMELINE = "clip", "sounding"
IMAGE, LABELS, POINT, BOX, BRUSH = "frame", "object", "point", "track", "mask"
VERDICT, REASON, NOTE = "verdict", "reason", "note"

OFF_SCREEN = "off-screen"
"""Label of a span in which something out of view is heard; it gets no mask."""
SILENCE = "silence"
"""Label of a span in which there is nothing to hear, as measured. A hint; what people do with it has no meaning."""

VERDICTS = {
    RoundKind.DRAFT: (Verdict.DONE, Verdict.UNSURE, Verdict.DROP),
    RoundKind.REVIEW: (Verdict.ACCEPT, Verdict.FIXED, Verdict.SEND_BACK, Verdict.DROP),
    RoundKind.FIX: (Verdict.DONE, Verdict.UNSURE, Verdict.DROP),
}
"""The choices at the end of a task. The page asks for one; the server does not, so it is checked again on pull."""

REASONS = ("mask", "category", "identity", "sounding seconds", "missed object")
"""What a reviewer may find wrong."""

_VERDICT_KEYS = {
    Verdict.DONE: "shift+d",
    Verdict.UNSURE: "shift+u",
    Verdict.DROP: "shift+x",
    Verdict.ACCEPT: "shift+a",
    Verdict.FIXED: "shift+f",
    Verdict.SEND_BACK: "shift+s",
}
_REASON_KEYS = ("shift+m", "shift+c", "shift+i", "shift+o", "shift+n")
"""Else the page gives out digits, which labels have."""

_FIND = "another label"
_STILL_HEIGHT = "calc(100vh - 475px)"  # what stands above and below it takes the rest of the window (`page.css`)
_FRAME_RATE = "1"  # the timeline then counts seconds: frame N of the player is second N - 1, and page N


def label_config(kind: RoundKind) -> str:
    """The configuration of a round's projects, XML. Labels come from each task's data (`tasks.py`).

    Source: specs of Label Studio, §4 and §8.
    """
    view = ET.Element("View", className="avis")
    _add(view, "Style").text = (files("avis_data.annotation.labelstudio") / "page.css").read_text(encoding="utf-8")
    known = _add(view, "View", className="avis-known")
    _add(known, "Header", value="$headline")
    _add(known, "Text", name="hint", value="$hint")
    _add(view, "Video", name=VIDEO, value="$video", frameRate=_FRAME_RATE, height="165", timelineHeight="100")
    labels = _add(view, "View", className="avis-labels")
    timeline = _add(labels, "TimelineLabels", name=TIMELINE, toName=VIDEO, value="$labels")
    for label, colour, hotkey in ((OFF_SCREEN, "#757575", "0"), (SILENCE, "#BDBDBD", "9")):
        _add(timeline, "Label", value=label, background=colour, hotkey=hotkey)
    _add(labels, "Filter", name=f"find_{TIMELINE}", toName=TIMELINE, minlength="1", placeholder=_FIND)
    labels = _add(view, "View", className="avis-labels")
    _add(labels, "Labels", name=LABELS, toName=IMAGE, choice="single", value="$labels")
    _add(labels, "Filter", name=f"find_{LABELS}", toName=LABELS, minlength="1", placeholder=_FIND)
    still = _add(view, "View", className="avis-still")
    _add(still, "Rectangle", name=BOX, toName=IMAGE, smart="true", smartOnly="true")  # the page opens with the first
    _add(still, "KeyPoint", name=POINT, toName=IMAGE, smart="true", smartOnly="true")
    _add(still, "Brush", name=BRUSH, toName=IMAGE, smart="false")
    _add(still, "Image", name=IMAGE, valueList="$frames", zoom="true", zoomControl="true", maxHeight=_STILL_HEIGHT)
    said = _add(still, "View", className="avis-said")
    _add_verdict(said, kind)
    placeholder = "note for the annotator" if kind is RoundKind.REVIEW else "note for the reviewer"
    note = _add(said, "TextArea", name=NOTE, toName=IMAGE, rows="2", maxSubmissions="1", editable="true")
    note.set("placeholder", placeholder)
    ET.indent(view)
    return ET.tostring(view, encoding="unicode")


def same_config(ours: str, theirs: str) -> bool:
    """True if two configurations say the same, whatever their spaces and order of attributes."""
    try:
        return ET.canonicalize(ours, strip_text=True) == ET.canonicalize(theirs, strip_text=True)
    except ET.ParseError:
        return False


def joined_config(ours: str, theirs: str) -> str:
    """Our configuration with the controls that somebody added on the server, for annotations that use them.

    The server refuses a configuration without a control that one of its annotations names.
    """
    view = ET.fromstring(ours)
    known = {tag.get("name") for tag in view.iter()}
    try:
        added = [tag for tag in ET.fromstring(theirs).iter() if tag.get("toName") in known]
    except ET.ParseError:
        added = []
    view.extend(copy.deepcopy(tag) for tag in added if tag.get("name") not in known)
    return ET.tostring(view, encoding="unicode")


def _add_verdict(view: ET.Element, kind: RoundKind) -> None:
    asked = {"required": "true", "requiredMessage": "Choose a verdict"}
    choices = _add(view, "Choices", name=VERDICT, toName=IMAGE, choice="single", showInline="true", **asked)
    for verdict in VERDICTS[kind]:
        _add(choices, "Choice", value=verdict.value, hotkey=_VERDICT_KEYS[verdict])
    if kind is RoundKind.REVIEW:
        when = {"visibleWhen": "choice-selected", "whenTagName": VERDICT}
        when["whenChoiceValue"] = f"{Verdict.SEND_BACK.value},{Verdict.DROP.value}"
        asked = {"required": "true", "requiredMessage": "Choose what is wrong"}
        reasons = _add(
            view, "Choices", name=REASON, toName=IMAGE, choice="multiple", showInline="true", **asked, **when
        )
        for reason, hotkey in zip(REASONS, _REASON_KEYS, strict=True):
            _add(reasons, "Choice", value=reason, hotkey=hotkey)


def _add(parent: ET.Element, tag: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, tag, attributes)
