"""Where clips stand follows from the files alone, for every way through the rounds."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from avis_data.annotation.labels.records import Assignment, Verdict
from avis_data.annotation.labels.rounds import Place
from avis_data.annotation.labels.store import read_assignments, read_round, round_names
from avis_data.annotation.labels.workspace_labels import WorkspaceLabels
from avis_data.annotation.work.close_round import close_round
from avis_data.annotation.work.review_plan import Plan, plan_next
from avis_data.errors import ConfigError, DataError
from avis_data.paths import Workspace
from support.rounds_world import clips_only, labels, open_round, say, square, track

ANN, BOB, REV = "ann@example.com", "bob@example.com", "rev@example.com"
DOG = track("dog_1", {0: square(1, 1), 1: square(1, 1)}, [(0, 2)])
NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return clips_only(tmp_path / "ws", "a", "b", "c")


def standing(workspace: Workspace) -> dict[str, Place]:
    return {place.clip_id: place for place in WorkspaceLabels(workspace).places()}


def states(workspace: Workspace) -> dict[str, str]:
    return {clip_id: str(place.state) for clip_id, place in standing(workspace).items()}


def carry_out(workspace: Workspace, plan: Plan) -> None:
    """What `review start` does, without a server."""
    for name, items in plan.assignments.items():
        WorkspaceLabels(workspace).give(name, items)
        everyone = {item.clip_id: [item.annotator] for item in read_assignments(workspace, name).assignments}
        open_round(workspace, name, everyone)


def test_a_clip_goes_round_until_a_reviewer_accepts_it(workspace: Workspace) -> None:
    assert states(workspace) == {"a": "unlabelled", "b": "unlabelled", "c": "unlabelled"}
    open_round(workspace, "draft", {"a": [ANN]})
    assert standing(workspace)["a"].waits_for == (ANN,)
    say(workspace, labels("a", "draft", ANN, [DOG]))
    assert states(workspace)["a"] == "to review" and standing(workspace)["a"].waits_for == ()
    expected = [("review", Verdict.SEND_BACK, "to fix"), ("fix", Verdict.DONE, "to review")]
    expected += [("review-2", Verdict.SEND_BACK, "to fix"), ("fix-2", Verdict.DONE, "to review")]
    expected += [("review-3", Verdict.ACCEPT, "accepted")]
    for name, verdict, state in expected:
        plan = plan_next(WorkspaceLabels(workspace), reviewers=[REV])
        assert list(plan.assignments) == [name]
        (given,) = plan.assignments[name]
        assert given.annotator == (REV if name.startswith("review") else ANN)
        carry_out(workspace, plan)
        assert states(workspace)["a"] == name.partition("-")[0]
        say(workspace, labels("a", name, given.annotator or "", [DOG], verdict, note=f"note of {name}"))
        assert states(workspace)["a"] == state
    assert round_names(workspace) == ["draft", "review", "fix", "review-2", "fix-2", "review-3"]
    assert plan_next(WorkspaceLabels(workspace), reviewers=[REV]).assignments == {}
    assert standing(workspace)["a"].reviewers == (REV,) and standing(workspace)["a"].authors == (ANN,)


def test_the_note_of_the_reviewer_and_what_to_start_from_reach_the_fix(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG], note="the dog is far away", problems=7))
    plan = plan_next(WorkspaceLabels(workspace), reviewers=[REV])
    (review,) = plan.assignments["review"]
    assert (review.prev_round, review.prev_by) == ("draft", ANN)
    assert "the dog is far away" in review.note and "problem 4; and 2 more" in review.note
    carry_out(workspace, plan)
    reasons = ("mask", "identity")
    say(workspace, labels("a", "review", REV, [DOG], Verdict.SEND_BACK, note="too wide", reasons=reasons))
    (fix,) = plan_next(WorkspaceLabels(workspace)).assignments["fix"]
    assert (fix.prev_round, fix.prev_by) == ("review", REV)
    assert fix.note.splitlines() == [f"Sent back by {REV} (review): mask, identity.", "Their note: too wide"]


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.ACCEPT, "accepted"),
        (Verdict.FIXED, "accepted"),
        (Verdict.DROP, "dropped"),
        (Verdict.SEND_BACK, "to fix"),
        (Verdict.UNSURE, "review"),
        (Verdict.DONE, "review"),
        (None, "review"),
    ],
)
def test_what_a_review_makes_of_a_clip(workspace: Workspace, verdict: Verdict | None, state: str) -> None:
    open_round(workspace, "draft", {"a": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG]))
    open_round(workspace, "review", {"a": [REV]})
    say(workspace, labels("a", "review", REV, [DOG], verdict, note="hm"))
    place = standing(workspace)["a"]
    assert place.state == state
    assert place.waits_for == ((REV,) if state == "review" else ())
    said = f"{REV} said {verdict or 'nothing yet'}: hm"
    assert (said in place.remarks) == (state == "review")


@pytest.mark.parametrize("verdict", [Verdict.UNSURE, None])
def test_a_draft_without_an_end_stays_open(workspace: Workspace, verdict: Verdict | None) -> None:
    open_round(workspace, "draft", {"a": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG], verdict))
    assert states(workspace)["a"] == "draft" and standing(workspace)["a"].waits_for == (ANN,)
    assert plan_next(WorkspaceLabels(workspace), reviewers=[REV]).assignments == {}


def test_a_draft_that_would_drop_the_clip_is_the_reviewers_to_decide(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN]})
    say(workspace, labels("a", "draft", ANN, [], Verdict.DROP))
    place = standing(workspace)["a"]
    assert place.state == "to review" and place.remarks == (f"{ANN} would drop it",)
    (given,) = plan_next(WorkspaceLabels(workspace), reviewers=[REV]).assignments["review"]
    assert "would drop this clip" in given.note


def test_both_of_a_double_draft_are_waited_for(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN, BOB]})
    say(workspace, labels("a", "draft", BOB, [DOG], project_id=2))
    assert standing(workspace)["a"].waits_for == (ANN,)
    say(workspace, labels("a", "draft", ANN, [DOG], problems=1, project_id=1))
    place = standing(workspace)["a"]
    assert place.state == "to review" and place.labels is not None
    assert place.labels.annotator == BOB, "the draft with fewer problems"
    assert [other.annotator for other in place.others] == [ANN]


def test_whoever_pressed_the_button_the_task_of_the_project_is_done(workspace: Workspace) -> None:
    """The community edition lets everybody into every project."""
    open_round(workspace, "draft", {"a": [ANN]})
    say(workspace, labels("a", "draft", BOB, [DOG], project_id=1))
    place = standing(workspace)["a"]
    assert place.state == "to review" and place.authors == (BOB,)


def test_a_task_for_anyone_waits_for_anyone(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [None]})
    assert standing(workspace)["a"].waits_for == ("anyone",)
    say(workspace, labels("a", "draft", BOB, [DOG], project_id=1))
    assert states(workspace)["a"] == "to review"


def test_reviewers_who_disagree_keep_the_clip_open(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG]))
    open_round(workspace, "review", {"a": [REV, BOB]})
    say(workspace, labels("a", "review", REV, [DOG], Verdict.ACCEPT, project_id=2))
    assert standing(workspace)["a"].waits_for == (BOB,), "one of the two is not enough"
    say(workspace, labels("a", "review", BOB, [DOG], Verdict.DROP, project_id=1))
    place = standing(workspace)["a"]
    assert place.state == "review" and any("disagree" in remark for remark in place.remarks)
    say(workspace, labels("a", "review", BOB, [DOG], Verdict.FIXED, project_id=1, updated_at="2026-01-02T00:00:00Z"))
    place = standing(workspace)["a"]
    assert place.state == "accepted" and place.labels is not None and place.labels.annotator == BOB


def test_nobody_reviews_their_own_draft_where_there_are_two(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN], "b": [BOB], "c": [ANN]})
    say(workspace, *(labels(name, "draft", person, [DOG]) for name, person in (("a", ANN), ("b", BOB), ("c", ANN))))
    given = {item.clip_id: item.annotator for item in plan_next(WorkspaceLabels(workspace)).assignments["review"]}
    assert given == {"a": BOB, "b": ANN, "c": BOB}
    alone = plan_next(WorkspaceLabels(workspace), reviewers=[ANN])
    assert [item.clip_id for item in alone.assignments["review"]] == ["b"]
    assert sorted(alone.without_reviewer) == ["a", "c"] and ANN in alone.without_reviewer["a"]


def test_one_person_may_review_alone_and_it_is_said(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG]))
    assert [item.annotator for item in plan_next(WorkspaceLabels(workspace)).assignments["review"]] == [None], "anyone"
    plan = plan_next(WorkspaceLabels(workspace), reviewers=[ANN])
    assert plan.assignments == {} and list(plan.without_reviewer) == ["a"], "not unless it is allowed"
    plan = plan_next(WorkspaceLabels(workspace), reviewers=[ANN], allow_own=True)
    assert [item.annotator for item in plan.assignments["review"]] == [ANN]
    carry_out(workspace, plan)
    say(workspace, labels("a", "review", ANN, [DOG], Verdict.ACCEPT))
    place = standing(workspace)["a"]
    assert place.state == "accepted" and place.is_own and place.remarks == (f"{ANN} reviewed labels of their own",)


@pytest.mark.parametrize("verdict", [Verdict.ACCEPT, Verdict.FIXED, Verdict.DROP, Verdict.SEND_BACK])
@pytest.mark.parametrize("how", ["pressed the button", "changed what the reviewer said"])
def test_no_verdict_of_an_author_counts(workspace: Workspace, verdict: Verdict, how: str) -> None:
    open_round(workspace, "draft", {"a": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG]))
    open_round(workspace, "review", {"a": [REV]})
    said = labels("a", "review", ANN, [DOG], verdict, project_id=1)
    if how != "pressed the button":
        said = labels("a", "review", REV, [DOG], verdict, project_id=1).model_copy(update={"updated_by": ANN})
    say(workspace, said)
    place = standing(workspace)["a"]
    assert place.state == "review" and place.waits_for == (REV,) and "does not count" in place.remarks[0]
    WorkspaceLabels(workspace).give_anew("review", [Assignment(clip_id="a", annotator=REV, allow_own=True)])
    place = standing(workspace)["a"]
    assert place.state != "review" and place.is_own == (verdict is not Verdict.SEND_BACK)


def test_reviews_are_shared_out_and_stay_with_the_one_who_asked(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN], "b": [ANN], "c": [ANN]})
    say(workspace, *(labels(name, "draft", ANN, [DOG]) for name in "abc"))
    plan = plan_next(WorkspaceLabels(workspace), reviewers=[REV, BOB])
    given = {item.clip_id: item.annotator for item in plan.assignments["review"]}
    assert given == {"a": REV, "b": BOB, "c": REV}
    carry_out(workspace, plan)
    assert plan_next(WorkspaceLabels(workspace), reviewers=[REV, BOB]).assignments == {}, "a second plan adds nothing"
    say(workspace, labels("b", "review", BOB, [DOG], Verdict.SEND_BACK))
    carry_out(workspace, plan_next(WorkspaceLabels(workspace), reviewers=[REV, BOB]))
    say(workspace, labels("b", "fix", ANN, [DOG]))
    again = plan_next(WorkspaceLabels(workspace), reviewers=[REV, BOB]).assignments
    assert {name: [(item.clip_id, item.annotator) for item in items] for name, items in again.items()} == {
        "review-2": [("b", BOB)]
    }


def test_what_was_planned_and_not_pushed_is_said(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG]))
    WorkspaceLabels(workspace).give(
        "review", plan_next(WorkspaceLabels(workspace), reviewers=[REV]).assignments["review"]
    )
    place = standing(workspace)["a"]
    assert place.state == "review" and place.waits_for == (REV,) and place.remarks == ("not on the server yet",)


def test_labels_that_changed_after_they_were_given_to_review_are_told(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG], project_id=1))
    carry_out(workspace, plan_next(WorkspaceLabels(workspace), reviewers=[REV]))
    assert standing(workspace)["a"].remarks == ()
    say(workspace, labels("a", "draft", ANN, [], project_id=1, updated_at="2026-01-05T00:00:00Z"))
    assert standing(workspace)["a"].remarks == (f"{ANN} changed the labels of draft after they were given to review",)


def test_a_round_is_not_closed_while_somebody_is_at_work(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN], "b": [BOB]})
    say(workspace, labels("a", "draft", ANN, [DOG]))
    with pytest.raises(ConfigError, match=f"1 clip\\(s\\) are open: b waits for {BOB}"):
        close_round(WorkspaceLabels(workspace), "draft", now=NOW)
    assert read_round(workspace, "draft").closed_at is None
    with pytest.raises(DataError, match="no round 'review'"):
        close_round(WorkspaceLabels(workspace), "review", now=NOW)
    say(workspace, labels("b", "draft", BOB, [DOG]))
    info = close_round(WorkspaceLabels(workspace), "draft", now=NOW, reason="not needed")
    assert (info.closed_at, info.close_reason) == ("2026-02-03T04:05:06+00:00", None)
    later = close_round(WorkspaceLabels(workspace), "draft", now=datetime(2027, 1, 1, tzinfo=UTC))
    assert later == info == read_round(workspace, "draft")


def test_what_a_closed_round_left_open_goes_on_in_the_next(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN], "b": [ANN]})
    say(workspace, labels("a", "draft", ANN, [DOG]), labels("b", "draft", ANN, [DOG], Verdict.UNSURE))
    close_round(WorkspaceLabels(workspace), "draft", now=NOW, reason="out of time")
    assert states(workspace) == {"a": "to review", "b": "unlabelled", "c": "unlabelled"}
    carry_out(workspace, plan_next(WorkspaceLabels(workspace), reviewers=[REV]))
    close_round(WorkspaceLabels(workspace), "review", now=NOW, reason="rev left")
    assert read_round(workspace, "review").close_reason == "rev left"
    assert states(workspace)["a"] == "to review"
    plan = plan_next(WorkspaceLabels(workspace), reviewers=[BOB])
    assert [(name, [item.clip_id for item in items]) for name, items in plan.assignments.items()] == [
        ("review-2", ["a"])
    ]
    carry_out(workspace, plan)
    say(workspace, labels("a", "review-2", BOB, [DOG], Verdict.SEND_BACK))
    carry_out(workspace, plan_next(WorkspaceLabels(workspace)))
    close_round(WorkspaceLabels(workspace), "fix-2", now=NOW, reason="ann is ill")
    assert states(workspace)["a"] == "to fix" and list(plan_next(WorkspaceLabels(workspace)).assignments) == ["fix-3"]


def test_damaged_files_are_named(workspace: Workspace) -> None:
    open_round(workspace, "draft", {"a": [ANN]})
    path = workspace.annotations / "draft" / "assignments.json"
    path.write_text('{"assignments": [{"clip_id": "../x"}]}')
    with pytest.raises(DataError, match=r"assignments\.json"):
        WorkspaceLabels(workspace).places()


def test_an_assignment_once_made_stays(workspace: Workspace) -> None:
    first = Assignment(clip_id="a", annotator=ANN, note="one")
    WorkspaceLabels(workspace).give("draft", [first])
    merged = WorkspaceLabels(workspace).give("draft", [Assignment(clip_id="a", annotator=ANN, note="two")])
    assert merged == [first] == list(read_assignments(workspace, "draft").assignments)
