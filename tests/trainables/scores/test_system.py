"""Scores of a two-stage system on a table of cases, and its latency against numpy."""

import numpy as np
import pytest

from trainables.scores.system import Case, Reaction, latency, system_scores

TABLE = [
    # surface, defective, asked detector, alert
    ("a", False, "a", "none"),
    ("a", False, "a", "defect"),  # false alarm
    ("a", True, "a", "defect"),
    ("a", True, "a", "none"),  # missed
    ("a", True, "b", "none"),  # wrong detector, and missed by it
    ("a", True, "b", "defect"),  # wrong detector, found all the same
    ("b", False, None, "unseen"),  # called unseen: false alarm
    ("b", True, None, "unseen"),  # called unseen, but somebody looks
    ("b", False, "b", "none"),
    ("z", False, None, "unseen"),
    ("z", True, "a", "defect"),  # unknown, and yet routed
    ("z", False, "b", "none"),  # unknown, routed, and silent
]


def test_each_error_is_counted_among_the_images_that_it_can_happen_to() -> None:
    cases = [Case(surface, defective) for surface, defective, _, _ in TABLE]
    reactions = [Reaction(asked, alert) for _, _, asked, alert in TABLE]  # type: ignore[arg-type]
    found = system_scores(cases, reactions, known=("a", "b"))
    assert (found.wrong_routing, found.wrong_routing_share) == (6, pytest.approx(6 / 12))
    assert (found.missed_unseen, found.missed_unseen_share) == (2, pytest.approx(2 / 3))
    assert (found.false_unseen, found.false_unseen_share) == (2, pytest.approx(2 / 9))
    assert (found.false_alarms, found.false_alarms_share) == (2, pytest.approx(2 / 4))
    assert (found.missed_defects, found.missed_defects_share) == (2, pytest.approx(2 / 5))


@pytest.mark.parametrize("row", range(len(TABLE)))
def test_a_single_image_makes_the_errors_that_its_row_says(row: int) -> None:
    surface, defective, asked, alert = TABLE[row]
    found = system_scores([Case(surface, defective)], [Reaction(asked, alert)], known=("a", "b"))  # type: ignore[arg-type]
    known = surface != "z"
    assert found.wrong_routing == int(asked != (surface if known else None))
    assert found.false_alarms == int(known and not defective and alert != "none")
    assert found.missed_defects == int(known and defective and alert == "none")
    assert (found.missed_unseen_share is None) == known and (found.false_unseen_share is None) != known
    assert (found.missed_defects_share is not None) == (known and defective)


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_latency_is_numpy_s_median_and_percentile(count: int) -> None:
    times = np.random.default_rng(count).exponential(0.01, count)
    found = latency(times.tolist())
    assert found.median_ms == pytest.approx(1e3 * np.median(times)) and found.p95_ms == pytest.approx(1e3 * np.percentile(times, 95))
