"""Which classes are unseen, and that no image of theirs is trained or validated on."""

import itertools
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from trainables.bench import Bench
from trainables.datasets.packs import Pack
from trainables.datasets.settings import DataSettings
from trainables.datasets.splits import Split, split
from trainables.errors import SettingsError
from trainables.seeds import child_seed
from trainables.settings import from_plain, to_plain
from trainables.zero_shot.settings import ZeroShotPart, pretended_unseen, zero_shot_folds, zero_shot_problems
from trainables.zero_shot.split import seen_bench, zero_shot_split

CLASSES = tuple(f"texture_{letter}" for letter in "abcdefghij")


def pack(groups: Any = None) -> Pack:
    """Ten classes of twelve images each, every one a picture of its own."""
    labels = np.repeat(np.arange(10), 12)
    return Pack(
        key="pack",
        classes=CLASSES,
        images=np.zeros((120, 1, 16, 16), dtype=np.uint8),
        labels=labels,
        masks=None,
        has_mask=np.zeros(120, dtype=bool),
        groups=np.arange(120) if groups is None else groups,
        defect_free=np.zeros(120, dtype=bool),
        paths=[f"{i}.png" for i in range(120)],
        hashes=[str(i) for i in range(120)],
        published=np.full(120, ""),
        boxes=[np.zeros((0, 4), dtype=np.float32)] * 120,
        sizes=np.full((120, 2), 16),
    )


def parts(own: Pack) -> Split:
    return split(own, DataSettings(size_px=16))


@pytest.mark.parametrize("unseen", list(itertools.combinations(CLASSES[:4], 2)))
def test_no_image_of_an_unseen_class_is_trained_or_validated_on(unseen: tuple[str, str]) -> None:
    own = pack()
    whole = parts(own)
    part = ZeroShotPart(unseen=unseen)
    (pretended,) = pretended_unseen(part, CLASSES, unseen, seed=3)
    assert len(pretended) == 2 and not set(pretended) & set(unseen)
    searched = zero_shot_split(own, whole, unseen=pretended, absent=unseen, scored="val")
    judged = zero_shot_split(own, whole, unseen=unseen, scored="test")

    def names(rows: Any) -> set[str]:
        return {CLASSES[label] for label in own.labels[rows]}

    for found in (searched, judged):
        assert names(found.train) == names(found.val) == set(found.seen_classes)
        assert set(found.train) <= set(whole.train) and set(found.val) <= set(whole.val)
        assert names(found.seen) == set(found.seen_classes) and names(found.unseen) == set(found.unseen_classes)
    # The search reads no image of a truly unseen class in any part, and no test image at all.
    assert not names(np.concatenate([searched.train, searched.val, searched.unseen])) & set(unseen)
    assert set(searched.unseen) <= set(whole.val) and len(searched.test) == 0
    assert set(judged.unseen) <= set(whole.test) and set(judged.test) <= set(whole.test)
    assert set(judged.seen_classes) == set(CLASSES) - set(unseen) and judged.unseen_classes == tuple(unseen)
    assert searched.key != judged.key


def test_near_copies_of_a_picture_of_an_unseen_class_leave_training_under_any_label() -> None:
    groups = np.arange(120)
    groups[[0, 12, 13]] = 1000  # one picture of classes a and b
    own = pack(groups)
    whole = parts(own)
    plain, grouped = zero_shot_split(pack(), whole, unseen=["texture_a"]), zero_shot_split(own, whole, unseen=["texture_a"])
    gone = set(np.concatenate([plain.train, plain.val, plain.test])) - set(np.concatenate([grouped.train, grouped.val, grouped.test]))
    assert gone == {12, 13}
    hidden = zero_shot_split(own, whole, unseen=["texture_b"], absent=["texture_a"], scored="val")
    assert not {12, 13} & set(hidden.unseen)


def test_the_view_of_training_has_seen_classes_alone() -> None:
    own = pack()
    found = zero_shot_split(own, parts(own), unseen=["texture_a", "texture_d"])
    bench = Bench(recipe=cast(Any, None), store=cast(Any, None), device="cpu", pack=own, parts=parts(own), task=cast(Any, SimpleNamespace()))
    view = seen_bench(bench, found)
    assert view.pack.classes == found.seen_classes and list(view.defects.values()) == list(found.seen_classes)
    for rows in (view.parts.train, view.parts.val, view.parts.test):
        labels = view.images(rows).labels
        assert int(labels.min()) == 0 and int(labels.max()) == 7
        assert [found.seen_classes[label] for label in labels] == [CLASSES[label] for label in own.labels[rows]]
    assert view.parts.counts["texture_b"]["train"] == int((own.labels[found.train] == 1).sum())


def test_all_pairs_of_ten_are_forty_five_folds() -> None:
    part = ZeroShotPart(unseen="pairs")
    folds = zero_shot_folds(part, CLASSES)
    assert len(folds) == len(set(folds)) == 45 and all(len(set(fold)) == 2 for fold in folds)
    drawn = [pretended_unseen(part, CLASSES, fold, seed=0) for fold in folds]
    assert len(set(drawn)) > 10 and drawn == [pretended_unseen(part, CLASSES, fold, seed=0) for fold in folds]
    assert zero_shot_folds(ZeroShotPart(unseen=("x", "y", "z")), CLASSES) == (("x", "y", "z"),)
    named = ZeroShotPart(unseen=("texture_a",), val_unseen=("texture_j", "texture_b"))
    assert pretended_unseen(named, CLASSES, ("texture_a",), seed=0) == (("texture_b", "texture_j"),)


@pytest.mark.parametrize("seed", range(4))
def test_more_draws_are_other_sets_behind_the_same_first_one(seed: int) -> None:
    unseen, others = ("texture_c", "texture_d"), [cls for cls in CLASSES if cls not in ("texture_c", "texture_d")]

    def drawn(count: int) -> tuple[tuple[str, ...], ...]:
        return pretended_unseen(ZeroShotPart(unseen=unseen, val_draws=count), CLASSES, unseen, seed=seed)

    places = np.random.default_rng(child_seed(seed, "val_unseen", *unseen)).permutation(8)[:2]
    assert drawn(1) == (tuple(others[i] for i in sorted(places)),), "the one that there was before there could be more"
    every = drawn(28)
    assert len(set(every)) == 28 and all(pair == tuple(sorted(pair)) and set(pair) < set(others) for pair in every)
    assert [drawn(count) for count in (2, 3, 9)] == [every[:2], every[:3], every[:9]]
    assert sorted(itertools.chain(*drawn(4))) == others, "four pairs of eight say something of each"
    # Two of three: the third set is the only one that is left.
    few = ZeroShotPart(unseen=("a", "b"), val_draws=3)
    assert set(pretended_unseen(few, "abcde", ("a", "b"), seed=seed)) == {("c", "d"), ("c", "e"), ("d", "e")}


def test_settings_come_back_from_plain_data_and_say_all_that_is_wrong() -> None:
    for part in (ZeroShotPart(unseen="pairs"), ZeroShotPart(unseen=("a", "b"), val_unseen=("c",), unseen_ce="real", percentile=99.0)):
        assert from_plain(ZeroShotPart, to_plain(part)) == part
    with pytest.raises(SettingsError) as caught:
        ZeroShotPart(unseen=("a", "a"), val_unseen=("a",), percentile=0.0)
    assert len(str(caught.value).splitlines()) == 3
    with pytest.raises(SettingsError, match="no class; name at least one"):
        ZeroShotPart(unseen=())
    with pytest.raises(SettingsError, match="val_draws: 0 sets of classes; expected 1 or more"):
        ZeroShotPart(unseen=("a",), val_draws=0)
    with pytest.raises(SettingsError, match="val_draws: 2 sets are to be drawn, but val_unseen names the one there is; leave out either"):
        ZeroShotPart(unseen=("a",), val_unseen=("b",), val_draws=2)
    with pytest.raises(SettingsError, match="every class is unseen in some pair"):
        ZeroShotPart(unseen="pairs", val_unseen=("a",))


def test_classes_that_are_not_there_or_too_few_are_named_before_anything_trains() -> None:
    said = zero_shot_problems(ZeroShotPart(unseen=("texture_k", "texture_b"), val_unseen=("zzz",)), CLASSES)
    assert len(said) == 2 and "did you mean texture_" in said[0] and said[1].startswith("zero_shot.val_unseen: no class is called zzz")
    assert "1 are left to train on" in zero_shot_problems(ZeroShotPart(unseen="pairs"), CLASSES[:5])[0]
    assert zero_shot_problems(ZeroShotPart(unseen="pairs"), CLASSES[:6]) == []
    for unseen in ("pairs", CLASSES[:2]):
        assert zero_shot_problems(ZeroShotPart(unseen=unseen, val_draws=6), CLASSES[:6]) == []
        (text,) = zero_shot_problems(ZeroShotPart(unseen=unseen, val_draws=7), CLASSES[:6])
        assert text.startswith("zero_shot.val_draws: 7 sets of classes") and text.endswith("there are 6: 2 of the 4 others each; expected at most 6")
    with pytest.raises(SettingsError, match="1 of 10 classes are left"):
        zero_shot_split(pack(), parts(pack()), unseen=CLASSES[:9])
    with pytest.raises(SettingsError, match="no class is called rust"):
        zero_shot_split(pack(), parts(pack()), unseen=["rust"])
