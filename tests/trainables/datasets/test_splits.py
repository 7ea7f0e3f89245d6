"""Splits: by class, by group, nested in the budget."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.datasets.packs import Pack
from trainables.datasets.settings import DataSettings
from trainables.datasets.splits import Split, split
from trainables.errors import DatasetError


def fake_pack(labels: list[int], groups: list[int] | None = None, published: list[str] | None = None, classes: int | None = None) -> Pack:
    n = len(labels)
    count = classes if classes is not None else max(labels) + 1
    return Pack(
        key="k",
        classes=tuple(f"c{i}" for i in range(count)),
        images=np.zeros((n, 1, 16, 16), np.uint8),
        labels=np.array(labels, dtype=np.int64),
        masks=None,
        has_mask=np.zeros(n, bool),
        groups=np.array(groups if groups is not None else range(n), dtype=np.int64),
        defect_free=np.array(labels) < 0,
        paths=[f"{i}" for i in range(n)],
        hashes=[f"{i}" for i in range(n)],
        published=np.array(published or [""] * n, dtype=np.str_),
        boxes=[np.zeros((0, 4), np.float32)] * n,
        sizes=np.full((n, 2), 16, np.int64),
    )


def parts(made: Split) -> list[set[int]]:
    return [set(made.train.tolist()), set(made.val.tolist()), set(made.test.tolist())]


def test_fractions_by_class_and_no_overlap() -> None:
    pack = fake_pack([0] * 50 + [1] * 20)
    made = split(pack, DataSettings())
    assert made.counts == {"c0": {"train": 30, "val": 10, "test": 10}, "c1": {"train": 12, "val": 4, "test": 4}}
    train, val, test = parts(made)
    assert not train & val and not train & test and not val & test and len(train | val | test) == 70
    assert split(pack, DataSettings()).key == made.key != split(pack, DataSettings(split_seed=1)).key


def test_groups_never_straddle() -> None:
    rng = np.random.default_rng(0)
    for trial in range(20):
        labels = rng.integers(0, 3, 90)
        groups = rng.integers(0, 30, 90)
        made = split(fake_pack(labels.tolist(), groups.tolist()), DataSettings(split_seed=trial))
        seen = [set(groups[list(part)].tolist()) for part in parts(made)]
        assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


def test_budget_is_nested_and_leaves_validation_and_test_alone() -> None:
    pack = fake_pack([0] * 50 + [1] * 20)
    few, more, fewest = (split(pack, DataSettings(images_per_class=n)) for n in (5, 10, "fewest"))
    assert set(few.train.tolist()) < set(more.train.tolist()) < set(fewest.train.tolist())
    assert few.counts["c0"] == {"train": 5, "val": 10, "test": 10} and fewest.counts["c0"]["train"] == 12 == fewest.counts["c1"]["train"]
    np.testing.assert_array_equal(few.test, more.test)
    inside = split(pack, DataSettings(images_per_class=10, val_from_budget=True))
    assert inside.counts["c1"] == {"train": 8, "val": 2, "test": 4}
    np.testing.assert_array_equal(inside.test, more.test)


@pytest.mark.parametrize(
    ("pack", "wanted", "message"),
    [
        (fake_pack([0] * 9), DataSettings(), "one class only"),
        (fake_pack([0] * 9 + [1]), DataSettings(), "c1: 1 image;"),
        (fake_pack([0] * 4 + [1] * 4, [0, 1, 2, 3, 4, 4, 4, 5]), DataSettings(), "only 2 different pictures"),
        (fake_pack([0] * 9 + [1] * 9), DataSettings(images_per_class=8), "At most 5"),
        (fake_pack([0] * 9 + [1] * 9), DataSettings(protocol="paper"), "published split"),
    ],
)
def test_what_cannot_be_split_is_said(pack: Pack, wanted: DataSettings, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        split(pack, wanted)


def test_paper_protocol_follows_the_publisher() -> None:
    published = (["train"] * 6 + ["val"] * 2 + ["test"] * 2) * 2
    made = split(fake_pack([0] * 10 + [1] * 10, [0] * 20, published), DataSettings(protocol="paper"))
    assert made.counts["c1"] == {"train": 6, "val": 2, "test": 2}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_pack_that_can_be_split_is_split_whole(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.lists(st.integers(1, 12), min_size=3, max_size=15), min_size=2, max_size=4))
    labels = [label for label, groups in enumerate(sizes) for size in groups for _ in range(size)]
    groups = [100 * label + number for label, own in enumerate(sizes) for number, size in enumerate(own) for _ in range(size)]
    val, test = data.draw(st.sampled_from([(0.2, 0.2), (0.1, 0.3), (0.4, 0.4)]))
    made = split(fake_pack(labels, groups), DataSettings(val_fraction=val, test_fraction=test, split_seed=data.draw(st.integers(0, 99))))
    train, held_out, judged = parts(made)
    assert sorted([*train, *held_out, *judged]) == list(range(len(labels)))
    seen = [{groups[i] for i in part} for part in (train, held_out, judged)]
    assert sum(map(len, seen)) == len(set(groups))
    assert all(count > 0 for counts in made.counts.values() for count in counts.values())
