"""Trials of an earlier run in the settings of this study, which may have others, wider or narrower ones. Called by `carrying`."""

import json
import math
from collections.abc import Mapping
from typing import Any

from search.memory.earlier import EarlierRun
from search.models.model import MARK
from search.studies.study import Study
from spaces.domains import Domain, Float, Int, Scalar, SpaceError

PREFIX = "params."
FIRST = ("generator.family", "inspector.kind")
"""Settings that say which others there are: where one of them is not in this study, that is the reason to tell."""


class Dropped(Exception):
    """A trial that cannot be a point of this study: why, in a few words that other trials may share."""


class Translator:
    """Puts the trials of one earlier run into a study's settings.

    Args:
        study: the one that learns.
        earlier: the run.
        known: every setting that a study of this task can have, by dotted name, with the defaults that the code has.
    """

    def __init__(self, study: Study, earlier: EarlierRun, known: Mapping[str, Domain]) -> None:
        self._space, self._names, self._known = study.space, study.space.names(), known
        self._there = earlier.space(known)

    def params(self, row: Mapping[str, Any]) -> dict[str, Scalar]:
        """Gives all settings of a trial that apply here; its mark may be one that this study does not have.

        Args:
            row: of trials.parquet.

        Raises:
            Dropped: it lies outside of this study's space, or does not say one of its settings.
        """
        said = {name.removeprefix(PREFIX): value for name, value in row.items() if name.startswith(PREFIX)}
        mark = float(said.pop(MARK, math.nan))
        if not 0 < mark < math.inf:
            raise Dropped(f"{MARK} is not said")
        given = {name: _typed(self._names[name], value) for name, value in said.items() if name in self._names}
        whole = self._completed(given)
        for name, value in said.items():
            # A setting that this study does not have, or that does not apply, has the value that the code gives it.
            if name not in self._names and value != (self._known[name].default if name in self._known else None):
                raise Dropped(f"{name} is not varied here")
        return {**whole, MARK: mark}

    def _completed(self, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Adds what the earlier run does not list with each trial, because it was the same for all."""
        known = dict(given)
        while True:
            try:
                whole = self._space.defaults(known)
            except SpaceError as error:
                names = [name for name, _ in error.problems]
                raise Dropped(f"{next((name for name in FIRST if name in names), names[0])} is outside of this study's space") from error
            lacking = [name for name in whole if name not in known and name != MARK]
            if not lacking:
                return whole
            known |= {name: self._value(name) for name in lacking}

    def _value(self, name: str) -> Scalar:
        """Gives the one value that a setting had in the earlier run.

        Raises:
            Dropped: it had several.
        """
        if name not in self._there:
            # It did not exist, or was left out as what goes without saying: the code did what its default does, as its VERSION says.
            return self._known[name].default if name in self._known else None
        plain = self._there[name]
        if isinstance(plain, Mapping) or (isinstance(plain, list) and None not in plain):
            raise Dropped(f"{name} is not said")
        # What is null stands nowhere in a table.
        return None if isinstance(plain, list) else plain


def _typed(domain: Domain, value: Any) -> Any:
    """Gives a value as the domain has it: in a column whose values are of several kinds whole numbers are decimal, or all are texts of JSON."""
    if isinstance(domain, Int) and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and not _holds(domain, value):
        try:
            read = json.loads(value)
        except ValueError:
            return value
        return float(read) if isinstance(domain, Float) and isinstance(read, int) and not isinstance(read, bool) else read
    return value


def _holds(domain: Domain, value: Any) -> bool:
    try:
        domain.check(value)
    except SpaceError:
        return False
    return True
