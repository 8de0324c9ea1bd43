"""Division into splits: exact numbers, whole groups, balance, the same for the same seed."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from avis_data.errors import ConfigError, DataError
from avis_data.splits import Assignment, BalanceReport, SplitClip, assign_splits, balance_report, parse_split
from avis_data.splits.sizes import plan_sizes


def clips_in_groups(sizes: list[int], *, seed: int = 0, num_categories: int = 4) -> list[SplitClip]:
    rng = random.Random(seed)
    clips = []
    for group, size in enumerate(sizes):
        for _ in range(size):
            number = rng.choice([0, 1, 1, 2, 3])
            silent = rng.randint(0, 10)
            single = rng.randint(0, 50)
            clips.append(
                SplitClip(
                    clip_id=f"c{len(clips):05d}",
                    video_id=f"v{group}",
                    group=f"v{group}",
                    categories=tuple(f"k{min(int(rng.expovariate(0.3)), num_categories - 1)}" for _ in range(number)),
                    num_tracks=number,
                    seconds=(silent, single, 60 - silent - single),
                )
            )
    return clips


def random_division(assignment: Assignment, rng: random.Random) -> Assignment:
    """The same numbers of clips, drawn by lot; for clips that are groups of their own."""
    names = [assignment.split_of[clip.clip_id] for clip in assignment.clips]
    rng.shuffle(names)
    split_of = {clip.clip_id: name for clip, name in zip(assignment.clips, names, strict=True)}
    return Assignment(request="lot", seed=None, names=assignment.names, clips=assignment.clips, split_of=split_of)


@pytest.mark.parametrize(
    ("text", "num_clips", "counts"),
    [
        ("616/105/205", 926, (616, 105, 205)),
        ("75/25", 1427, (1070, 357)),  # the RCF paper's AVIS set
        ("75/25", 100, (75, 25)),
        ("70/15/15", 10, (7, 2, 1)),
        (" 67 / 11 / 22 ", 926, (620, 102, 204)),
        ("10/0/5", 15, (10, 0, 5)),
        ("34/33/33", 1, (1, 0, 0)),
    ],
)
def test_numbers_are_clips_if_they_sum_to_them_else_percentages(text: str, num_clips: int, counts: tuple[int]) -> None:
    assert parse_split(text).counts(num_clips) == counts


@pytest.mark.parametrize("text", ["", "100", "1/2/3/4", "a/b", "0.75/0.25", "-1/101", "50/50%", "0/0", "1//2", "٣/٤"])
def test_what_is_no_split_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="--split 75/25"):
        parse_split(text)


@pytest.mark.parametrize(("text", "num_clips"), [("616/105/205", 900), ("80/30", 50), ("3/3", 5)])
def test_a_wrong_sum_names_the_numbers_and_an_example_that_works(text: str, num_clips: int) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_split(text).counts(num_clips)
    message = str(caught.value)
    assert str(sum(map(int, text.split("/")))) in message and str(num_clips) in message
    examples = re.findall(r"--split ([0-9/]+)", message)
    assert len(examples) == 2
    for example in examples:
        assert sum(parse_split(example).counts(num_clips)) == num_clips


@pytest.mark.parametrize("seed", range(40))
def test_exact_numbers_are_reached_exactly_where_that_is_possible(seed: int) -> None:
    rng = random.Random(seed)
    sizes = [rng.choice([1, 2, 2, 3, 4, 6, 7]) for _ in range(rng.randint(2, 7))]
    total = sum(sizes)
    num_splits = rng.choice([2, 3])
    borders = sorted(rng.randint(0, total) for _ in range(num_splits - 1))
    counts = tuple(after - before for before, after in itertools.pairwise([0, *borders, total]))
    reachable = set()
    for places in itertools.product(range(num_splits), repeat=len(sizes)):
        reachable.add(tuple(sum(s for s, p in zip(sizes, places, strict=True) if p == k) for k in range(num_splits)))

    request = parse_split("/".join(map(str, counts)))
    clips = clips_in_groups(sizes, seed=seed)
    if counts in reachable:
        assignment = assign_splits(clips, request, seed)
        assert tuple(assignment.counts().values()) == counts
        assert assignment.divided_groups() == []
    else:
        with pytest.raises(DataError, match="nearest") as caught:
            assign_splits(clips, request, seed)
        nearest = tuple(map(int, re.findall(r"--split ([0-9/]+)", str(caught.value))[0].split("/")))
        assert nearest in reachable
        zero_kept = [found for found in reachable if all(f == 0 for f, c in zip(found, counts, strict=True) if c == 0)]
        assert distance(nearest, counts) == min(distance(found, counts) for found in zero_kept)


def distance(found: tuple[int, ...], wanted: tuple[int, ...]) -> int:
    return sum(abs(f - w) for f, w in zip(found, wanted, strict=True))


def test_impossible_numbers_name_the_largest_sources() -> None:
    clips = clips_in_groups([9, 5, 1])
    with pytest.raises(DataError, match=r"'v0' \(9 clips\), 'v1' \(5 clips\)") as caught:
        assign_splits(clips, parse_split("8/7"), 0)
    assert "--split 9/6" in str(caught.value)


def test_percentages_take_the_nearest_numbers_that_whole_sources_allow() -> None:
    assignment = assign_splits(clips_in_groups([10, 10, 10, 1]), parse_split("50/50"), 0)
    assert sorted(assignment.counts().values()) == [11, 20] or sorted(assignment.counts().values()) == [10, 21]
    assert assignment.divided_groups() == []


def test_same_seed_same_division_whatever_the_order_and_other_seeds_differ() -> None:
    clips = clips_in_groups([1, 2, 3] * 40)
    first = assign_splits(clips, parse_split("70/10/20"), 5)
    shuffled = list(clips)
    random.Random(1).shuffle(shuffled)
    assert assign_splits(shuffled, parse_split("70/10/20"), 5).split_of == first.split_of
    others = [assign_splits(clips, parse_split("70/10/20"), seed).split_of for seed in range(6, 10)]
    assert all(other != first.split_of for other in others)


@pytest.mark.parametrize("seed", range(5))
def test_labels_are_spread_far_better_than_by_lot(seed: int) -> None:
    clips = clips_in_groups([1] * 926, seed=seed, num_categories=26)
    assignment = assign_splits(clips, parse_split("616/105/205"), seed)
    report = balance_report(assignment)
    rng = random.Random(seed)
    by_lot = [balance_report(random_division(assignment, rng)) for _ in range(30)]
    assert mean_of_common(report) < 0.25 * min(mean_of_common(other) for other in by_lot)
    assert report.max_deviation_clips < 1.5 < 4 < min(other.max_deviation_clips for other in by_lot)


def mean_of_common(report: BalanceReport) -> float:
    """Of labels that are held often enough for a share to mean something."""
    found = [row.max_deviation for row in report.rows if row.total >= 20]
    return sum(found) / len(found)


@pytest.mark.parametrize("seed", range(10))
def test_tiny_sets_are_divided_about_as_well_as_possible(seed: int) -> None:
    clips = clips_in_groups([1] * 9, seed=seed, num_categories=3)
    ours = assign_splits(clips, parse_split("5/2/2"), seed)
    scores = []
    for test in itertools.permutations(range(9), 4):
        if test[0] < test[1] and test[2] < test[3]:
            names = ["train"] * 9
            names[test[0]] = names[test[1]] = "val"
            names[test[2]] = names[test[3]] = "test"
            split_of = {clip.clip_id: name for clip, name in zip(ours.clips, names, strict=True)}
            scores.append(chi_square(ours.clips, split_of))
    assert len(scores) == 756
    ours_score = chi_square(ours.clips, ours.split_of)
    assert sum(score < ours_score - 1e-9 for score in scores) <= 756 // 20


def chi_square(clips: tuple[SplitClip, ...], split_of: dict[str, str]) -> float:
    """The cost, from its definition: labels one by one, (found - wanted)² / wanted."""
    labels = [{f"k:{name}": 1.0 for name in clip.categories} | {f"n:{clip.num_tracks}": 1.0} for clip in clips]
    for clip, held in zip(clips, labels, strict=True):
        held |= {f"s:{index}": seconds / 60 for index, seconds in enumerate(clip.seconds)}
    cost = 0.0
    for label in sorted({label for held in labels for label in held}):
        total = sum(held.get(label, 0.0) for held in labels)
        for split, share in (("train", 5 / 9), ("val", 2 / 9), ("test", 2 / 9)):
            side = [held for clip, held in zip(clips, labels, strict=True) if split_of[clip.clip_id] == split]
            found = sum(held.get(label, 0.0) for held in side)
            if total:
                cost += (found - share * total) ** 2 / (share * total)
    return cost


def test_many_clips_of_large_sources_are_divided_exactly() -> None:
    rng = random.Random(3)
    sizes = [rng.randint(2, 12) for _ in range(3000)]  # no single clips that would fill gaps
    total = sum(sizes)
    counts = (total - 2001, 1000, 1001)
    assignment = assign_splits(clips_in_groups(sizes), parse_split("/".join(map(str, counts))), 0)
    assert tuple(assignment.counts().values()) == counts
    assert assignment.divided_groups() == []
    assert balance_report(assignment).max_deviation < 0.02


def test_the_report_counts_what_is_there() -> None:
    clips = tuple(
        SplitClip(clip_id=f"c{n}", video_id="v", group=f"g{n}", categories=("dog",), num_tracks=1, seconds=(0, 4, 0))
        for n in range(4)
    )
    split_of = {"c0": "train", "c1": "train", "c2": "train", "c3": "val"}
    report = balance_report(Assignment(request="3/1", seed=0, names=("train", "val"), clips=clips, split_of=split_of))
    assert [(row.kind, row.name, row.total, dict(row.counts)) for row in report.rows] == [
        ("category", "dog", 4, {"train": 3, "val": 1}),
        ("seconds", "single", 16, {"train": 12, "val": 4}),
        ("sources", "1", 4, {"train": 3, "val": 1}),
    ]
    assert report.max_deviation == report.max_deviation_clips == 0.0


def test_one_odd_source_among_many_sizes_is_put_where_only_it_fits() -> None:
    """Only the source of 4101 clips makes an odd hundred, and the search sees the small ones first."""
    sizes = {100 * number: 1 for number in range(1, 41)} | {4101: 1}
    total = sum(sizes)
    plan = plan_sizes(sizes, (total - 4401, 4201, 200))
    assert plan.totals == (total - 4401, 4201, 200)
    assert plan.groups[1].get(4101) == 1
