"""What annotation leaves behind: rounds, and per clip and round who marked which object where and when.

`store.py` says where these lie in a workspace. What the server sent is kept beside them as received; these records are
made from it, and can be made again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from avis_data.masks.rle import Rle
from avis_data.records import Clip, Fps, Record, SafeId, Sha256, State

__all__ = [
    "Answer",
    "Assignment",
    "ClipProblem",
    "ClipTask",
    "Decision",
    "Flag",
    "Interval",
    "LabelledClip",
    "LabelledMask",
    "LabelledTrack",
    "MaskOrigin",
    "Media",
    "PreLabels",
    "Repair",
    "RepairKind",
    "Repairs",
    "Revision",
    "RoundInfo",
    "RoundKind",
    "RoundProject",
    "Verdict",
]


class RoundKind(StrEnum):
    """What is done in a round. Rounds are named after it: `draft`, `review`, `fix`, `review-2`, `fix-2`, ..."""

    DRAFT = "draft"
    REVIEW = "review"
    FIX = "fix"


class Verdict(StrEnum):
    """The required choice at the end of a task, as the page spells it."""

    DONE = "done"
    UNSURE = "unsure"
    ACCEPT = "accept"
    FIXED = "fixed"
    SEND_BACK = "send back"
    DROP = "drop clip"


class MaskOrigin(StrEnum):
    """How a mask came to be."""

    CLICKED = "clicked"
    """A segmenter's answer to prompts on this still."""
    PROPAGATED = "propagated"
    """Carried here from another still."""
    EDITED = "edited"
    """Drawn or changed by hand."""
    IMPORTED = "imported"
    """It came with a truth file."""
    PRELABELLED = "prelabelled"
    """Found by machines alone: of its clip nobody had drawn anything."""


class Media(Record):
    """The stills and the sound that somebody saw and heard, by their hashes."""

    frames_sha256: Sha256
    audio_sha256: Sha256

    @classmethod
    def of(cls, clip: Clip) -> Media:
        """Those that a clip has now."""
        return cls(frames_sha256=clip.frames_sha256, audio_sha256=clip.audio_sha256)


class Interval(Record):
    """A span of a clip in which something is heard, seconds on the clip's clock, [start_s, end_s)."""

    start_s: float = Field(ge=0)
    end_s: float = Field(gt=0)


class LabelledMask(Record):
    """One object's mask on one still, and who made it how."""

    frame: int = Field(ge=0, description="Number of the still, from 0.")
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    counts: str = Field(description="COCO compressed RLE, column order; never of an empty mask.")
    origin: MaskOrigin
    engine: str | None = Field(default=None, description="What drew it, as `grabcut` or `sam`; null: by hand, or file.")
    weights_sha256: Sha256 | None = None
    confidence: float | None = Field(default=None, description="The engine's own, in [0, 1].")
    annotator: str | None = Field(default=None, description="Who made or last changed it.")
    seconds: float | None = Field(default=None, description="Their working time on it, as far as known.")
    round: str | None = Field(default=None, description="The round it was made in; null: before the first.")

    @property
    def rle(self) -> Rle:
        """The mask itself."""
        return Rle(self.height, self.width, self.counts)


class LabelledTrack(Record):
    """One object through a clip."""

    identity: str = Field(description="Name of the label, `person_1`: category, number.")
    category: str
    intervals: tuple[Interval, ...] = Field(description="When it is heard, sorted, not touching.")
    states: tuple[State, ...] = Field(description="One per still: sounding = heard and a mask.")
    masks: tuple[LabelledMask, ...] = Field(description="By still, at most one each; also where nothing is heard.")

    def rle_by_frame(self) -> dict[int, Rle]:
        """Its masks by the number of the still."""
        return {mask.frame: mask.rle for mask in self.masks}


class ClipProblem(Record):
    """Something that a person should look at; pulling goes on."""

    kind: str
    identity: str | None = None
    frame: int | None = None
    message: str

    def text(self) -> str:
        """One line for people, with its page counted as they do."""
        place = [self.identity or "", "" if self.frame is None else f"page {self.frame + 1}"]
        where = ", ".join(part for part in place if part)
        return f"{where}: {self.message}" if where else self.message


class Revision(Record):
    """Which state of which annotation on the server this was made from."""

    project_id: int
    task_id: int
    annotation_id: int
    updated_at: str
    file: str = Field(description="As received, relative to the workspace.")


class RepairKind(StrEnum):
    """What no editor of single regions offers."""

    SWAP = "swap"
    """Two objects have each other's masks and sounds."""
    MERGE = "merge"
    """The second object is the first one."""
    SPLIT = "split"
    """What was one object is another one from a still onward."""
    DELETE = "delete"
    COPY = "copy"
    """A mask stands on other stills too."""


class Repair(Record):
    """Labels put right by a command: what, by whom, when."""

    number: int = Field(ge=1, description="Counted for the labels of one person in a round.")
    kind: RepairKind
    identities: tuple[str, ...] = Field(description="As they were named: one, or two.")
    first: int = Field(ge=0, description="The first still of it, from 0; of a copy the one that is copied.")
    last: int | None = Field(default=None, description="The last still; null: to the end of the clip.")
    onto: tuple[int, ...] = Field(default=(), description="The stills that a copy goes to.")
    by: str
    at: str = Field(description="UTC.")
    undone_by: str | None = None
    undone_at: str | None = None
    waits: bool = Field(default=False, description="The labels were changed on the server: it was not done again.")
    done_on_page: bool = Field(default=False, description="The person did the same on the page since.")

    @property
    def counts(self) -> bool:
        """Whether it is in the labels."""
        return self.undone_at is None and not self.waits and not self.done_on_page

    def is_as(self, other: Repair) -> bool:
        """Whether the same is asked for."""
        return all(
            getattr(self, name) == getattr(other, name) for name in ("kind", "identities", "first", "last", "onto")
        )

    def text(self) -> str:
        """One phrase for people, with the still as the files count and as the page does."""
        what = f"{self.kind} {' '.join(self.identities)}"
        if self.kind is RepairKind.COPY:
            return f"{what} from {_still(self.first)} onto {', '.join(_still(still) for still in self.onto)}"
        if self.first:
            what += f" from {_still(self.first)}"
        return what if self.last is None else f"{what} until {_still(self.last)}"


def _still(still: int) -> str:
    return f"still {still} (page {still + 1})"


class LabelledClip(Record):
    """What one person said of one clip in one round."""

    clip_id: SafeId
    round: str
    annotator: str = Field(description="E-mail of the account that completed it.")
    fps: Fps
    num_frames: int = Field(gt=0, description="T: stills, each a page.")
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    tracks: tuple[LabelledTrack, ...]
    off_screen: tuple[Interval, ...] = Field(default=(), description="When something out of view is heard.")
    verdict: Verdict | None
    reasons: tuple[str, ...] = ()
    note: str = ""
    lead_time_s: float | None = Field(default=None, description="Working time, as the page measured it.")
    updated_by: str | None = Field(default=None, description="E-mail, where another than the annotator changed it.")
    media: Media | None = Field(default=None, description="What it was drawn on, as the task says; null: not known.")
    drawn_sha256: Sha256 | None = Field(default=None, description="Of tracks and spans, without notes and makers.")
    revision: Revision | None
    problems: tuple[ClipProblem, ...] = ()
    repairs: tuple[Repair, ...] = Field(default=(), description="What commands put right in it since, in their order.")


class Repairs(Record):
    """All that commands put right in one person's labels of a clip, also what was undone."""

    base: LabelledClip = Field(description="The labels as this person left them.")
    repairs: tuple[Repair, ...]


class Answer(BaseModel):
    """The head of a `LabelledClip`, without tracks: enough to know where the clip stands."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    clip_id: str
    round: str
    annotator: str
    verdict: Verdict | None
    reasons: tuple[str, ...] = ()
    note: str = ""
    lead_time_s: float | None = None
    updated_by: str | None = None
    media: Media | None = None
    drawn_sha256: str | None = None
    revision: Revision | None
    problems: tuple[ClipProblem, ...] = ()
    repairs: tuple[Repair, ...] = ()
    sha256: str = ""
    """Hash of the record's file, so of all that was said."""

    @property
    def is_finished(self) -> bool:
        """Whether the verdict ends the task; without one, or unsure, it is still open."""
        return self.verdict not in (None, Verdict.UNSURE)

    @property
    def updated_at(self) -> str:
        """When it was last changed on the server; empty where that is not known."""
        return self.revision.updated_at if self.revision else ""


class Flag(Record):
    """A still that needs a look."""

    frame: int = Field(ge=0)
    identity: str | None
    reason: str
    """One of few words: `scene_cut`, `area`, `position`, `confidence`, `lost`."""
    message: str


class PreLabels(Record):
    """What is known of a clip before anyone looks: masks of a file or of propagation."""

    clip_id: SafeId
    fps: Fps
    num_frames: int = Field(gt=0, description="T: stills, each a page.")
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    tracks: tuple[LabelledTrack, ...]
    flags: tuple[Flag, ...] = ()
    source: str = Field(description="What made them, as `propagate: optical-flow` or the name of a file.")
    frames_sha256: Sha256 | None = Field(default=None, description="Of the stills they were drawn on; null: not known.")


class Assignment(Record):
    """One clip for one person, or for anyone, in one round."""

    clip_id: SafeId
    annotator: str | None = Field(default=None, description="E-mail; null: anyone.")
    prev_round: str | None = Field(default=None, description="Round of the labels that it starts from; null: none.")
    prev_by: str | None = Field(default=None, description="E-mail of whose labels it starts from.")
    prev_updated_at: str | None = Field(default=None, description="State of these labels on the server.")
    note: str = Field(default="", description="What the page shows above the clip.")
    allow_own: bool = Field(default=False, description="People may review what they labelled themselves.")


class Decision(Record):
    """What the lead said of a clip in a round, beside the answers of people. Kept, never changed."""

    clip_id: SafeId
    kind: Literal["comment", "reopen", "settle"]
    verdict: Verdict | None = Field(default=None, description="Of `settle`: what the review ends with.")
    of: str | None = Field(default=None, description="Of `settle`: whose labels count, e-mail.")
    note: str = ""
    by: str
    at: str

    def text(self) -> str:
        """One line for people."""
        what = {"comment": "said", "reopen": "reopened it", "settle": f"settled it: {self.verdict}"}[self.kind]
        return f"{self.by} {what}" + (f": {self.note}" if self.note else "")


class ClipTask(Record):
    """One clip for one person, and what its page is filled with before they look."""

    clip_id: SafeId
    tracks: tuple[LabelledTrack, ...] = Field(default=(), description="Masks and spans to fill the page with.")
    off_screen: tuple[Interval, ...] = ()
    silence: tuple[Interval, ...] = Field(default=(), description="Where there is nothing to hear.")
    flags: tuple[Flag, ...] = Field(default=(), description="Stills that need a look, told first.")
    note: str = Field(default="", description="Of the person before.")
    previous_annotator: str | None = Field(default=None, description="Whose labels these are, e-mail.")
    media: Media | None = Field(default=None, description="What the masks and spans were drawn on; null: not known.")
    heard_categories: tuple[str, ...] = Field(default=(), description="Which may be heard, the likeliest first.")
    heard_speech: tuple[Interval, ...] = Field(default=(), description="Where somebody speaks, as far as that is told.")
    heard_by: tuple[str, ...] = Field(default=(), description="What spans are from: loudness, weights with their hash.")


class RoundProject(Record):
    """One project on the server: tasks of one round for one person, or for anyone."""

    project_id: int
    title: str
    annotator: str | None = Field(default=None, description="E-mail; null: anyone.")


class RoundInfo(Record):
    """`round.json`."""

    name: str = Field(pattern=r"^(draft|review|fix)(-[0-9]+)?$")
    kind: RoundKind
    created_at: str
    projects: tuple[RoundProject, ...]
    closed_at: str | None = None
    close_reason: str | None = Field(default=None, description="Why it was closed while clips were open.")
