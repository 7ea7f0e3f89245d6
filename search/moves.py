"""What to suggest next. Each suggestion is a move with its reason and its parent, a pure function of the study, the trial's number and the records.

In order: baselines on real images alone, each family's paper settings, the user's own points, then explore, promote or reuse, whichever is expected
to add most hypervolume for each second, and confirmations once all of these have ended. Called by the asker.
"""

import random
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reports.records import Asked, Record
from search.confirm import due, inspector_of
from search.memory.remembered import Remembered
from search.models.expectations import Expectations
from search.models.model import MARK, Model
from search.models.proposals import Proposals
from search.samplers import Sampled
from search.spending.budget import StageCost, measured
from search.studies.recipes import paper_params, try_params
from search.studies.study import Study
from trainables.recipe import Unit
from trainables.seeds import child_seed

DRAW_ONE_OF = 10
"""One of so many suggestions is a new generator drawn from the whole space, whatever the models expect: they may be wrong."""
KINDS = frozenset({"explore", "promote", "reuse"})
"""Moves of the search."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """What a trial is for, and what of it is given."""

    kind: str
    """One of `reports.records.MOVES`."""
    reason: str
    parent: int | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """All settings that apply."""
    units: tuple[Unit, ...] = (Unit(),)
    judge: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A study as the moves see it."""

    study: Study
    baselines: Sequence[Mapping[str, Any]]
    """Settings of each baseline; the first makes the stages that others share."""
    starts: Sequence[tuple[str, Mapping[str, Any]]]
    """Reason and settings of what is tried before anything is suggested."""
    cost: StageCost = measured
    """Seconds of a stage; fixed numbers where a test weighs them."""
    untrained: frozenset[str] = frozenset()
    """Families that learn nothing, so that no later mark is worth a trial."""
    drawing: frozenset[str] = frozenset()
    """Settings that decide only how images are drawn: the same training serves all their values."""
    kinds: frozenset[str] = KINDS
    """Moves of the search that may be made; fewer where it is measured what each is worth."""
    earlier: Sequence[Remembered] = ()
    """Trials of earlier runs whose numbers the models are told before the first trial."""

    @property
    def trials(self) -> int:
        """Trials before confirmation: what the study says, but never fewer than the baselines."""
        return max(self.study.search.trials, len(self.baselines))


def starting_points(study: Study) -> list[tuple[str, Mapping[str, Any]]]:
    """Lists what is tried first: the paper settings of each family, then the user's own points."""
    paper = paper_params(study) if study.search.paper_settings else []
    starts = [(f"the paper's settings of {point['generator.family']}", point) for point in paper]
    return starts + [("a point of the study's own (search.try)", point) for point in try_params(study)]


class Moves:
    """Chooses what is tried next, told what was asked and how it ended.

    Args:
        plan: the study.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.model = Model(plan.study, cost=plan.cost, drawing=plan.drawing)
        for at, earlier in enumerate(plan.earlier):
            self.model.recall(earlier, at - len(plan.earlier))
        self._expectations = Expectations(self.model)
        self._expectations.note()
        self._asked: dict[int, Asked] = {}
        self._records: dict[int, Record] = {}
        self._searched: list[int] = []
        # What learns nothing is the same at every mark.
        ladder = {family: plan.study.ladder(family)[: 1 if family in plan.untrained else None] for family in plan.study.families}
        self._ladder = ladder
        self._sampled = Sampled(plan.study, ladder, len(plan.starts)) if plan.study.search.sampler != "linked" else None

    def add(self, asked: Asked) -> None:
        """Takes in a trial that was asked."""
        if asked.trial not in self._asked and asked.move != "confirm":
            insort(self._searched, asked.trial)
        self._asked[asked.trial] = asked
        self.model.add(asked)
        if self._sampled is not None:
            self._sampled.add(asked)

    def tell(self, record: Record) -> None:
        """Takes in the end of a trial."""
        self._records[record.trial] = record
        self.model.tell(record)
        self._expectations.note()
        if self._sampled is not None:
            self._sampled.tell(record)

    @property
    def through(self) -> str | None:
        """Says that nothing is left to suggest, though trials are; None while there is."""
        return self._sampled.through if self._sampled is not None else None

    @property
    def goes_on(self) -> bool:
        """Whether trials of the search are left, baselines being through."""
        return len(self._plan.baselines) <= len(self._searched) < self._plan.trials

    def next(self, number: int, *, is_free: Callable[[Move], bool], closed: bool = False) -> Move | str:
        """Chooses the move of trial `number`; "wait" where it cannot be chosen yet, "finished" where there is none left.

        Args:
            number: the trial, smaller than all numbers that are not yet asked.
            is_free: whether a move would not train a stage that a running trial is training.
            closed: True where nothing more is searched, whatever the study asks for.
        """
        plan = self._plan
        if number < len(plan.baselines):
            params = plan.baselines[number]
            return Move(
                kind="baseline", reason=f"real images alone, {params.get('baseline', 'plain')}: what synthetic images must beat", fixed=params
            )
        if 0 not in self._records:
            return "wait"  # The first baseline makes the inspector whose features and confidences everything else uses.
        # Counted, not numbered: a study that was extended goes on behind its first confirmations.
        if len(self._searched) < plan.trials and not closed and self.through is None:
            if (at := bisect_left(self._searched, number) - len(plan.baselines)) < len(plan.starts):
                reason, params = plan.starts[at]
                return Move(kind="explore", reason=reason, fixed=params)
            return self._by_name(self._sampled, number) if self._sampled is not None else self._search(number)
        return _confirm(plan, self._asked, self._records, is_free)

    def _by_name(self, sampled: Sampled, number: int) -> Move | str:
        """Takes what a sampler suggests; the last trials of a grid may yet earn another mark."""
        found = sampled.suggest(number)
        return "wait" if found is None else Move(kind=found.kind, reason=found.reason, parent=found.parent, fixed=found.params)

    def _search(self, number: int) -> Move:
        """Weighs new generators against more of those there are."""
        plan = self._plan
        rng = random.Random(child_seed(plan.study.seed, "sampler", number))
        proposals = Proposals(plan.study.space, self.model, self._ladder, rng, plan.kinds)
        fitted = self._expectations.fit() if (self.model.front or plan.earlier) and number % DRAW_ONE_OF else None
        best = proposals.best(fitted) if fitted is not None else None
        if best is None:
            return Move(kind="explore", reason="a new generator, drawn from the whole space", fixed=proposals.drawn().params)
        gain = f"{100 * best.gain:.2g} % more hypervolume expected for {best.seconds:.3g} s"
        origin = best.generator.origin
        if best.kind == "explore":
            return Move(kind="explore", reason=f"a new generator{f', that of {origin}' if origin else ''}: {gain}", fixed=best.params)
        parent = best.generator.latest
        whose = f"the generator of {f'trial {parent}' if parent is not None else origin}"
        said = f"{whose} goes on to {best.params[MARK]:g} kimg" if best.kind == "promote" else f"{whose} again, with other settings behind it"
        return Move(kind=best.kind, reason=f"{said}: {gain}", parent=parent, fixed=best.params)


def _confirm(plan: Plan, asked: Mapping[int, Asked], records: Mapping[int, Record], is_free: Callable[[Move], bool]) -> Move | str:
    """Repeats the best with fresh seeds, on validation in the rounds of their race and then on the test split, once everything else has ended."""
    if plan.study.search.confirm.top == 0:
        return "finished"
    if any(number not in records for number in asked if asked[number].move != "confirm"):
        return "wait"
    found = due(plan.study, asked, records)
    training = [inspector_of(other.params) for number, other in asked.items() if number not in records and "baseline" in other.params]
    for item in found.now:
        if not item.repeat.is_leader and inspector_of(item.repeat.params) in training:
            continue  # Two that are the same inspector would both train it.
        move = Move(kind="confirm", reason=item.reason, parent=item.repeat.parent, fixed=item.repeat.params, units=item.units, judge=item.judge)
        if is_free(move):
            return move
    return "wait" if found.now or found.later else "finished"
