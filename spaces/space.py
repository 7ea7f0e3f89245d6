"""A tree of domains under dotted names: what one trial may be. A study narrows it; the search asks it for suggestions."""

import difflib
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spaces.domains import Choice, Domain, Fixed, Scalar, SpaceError, Trial

Tree = Mapping[str, Domain]
"""Domains by name; the settings below a `Choice` are neighbours of it."""


@dataclass(frozen=True, slots=True)
class Space:
    """What may vary, by dotted name, with the settings that exist only under some choice."""

    tree: Tree
    """Top of the tree: `generator.family`, `synthesis.truncation`, ..."""

    def suggest(self, trial: Trial, fixed: Mapping[str, Any] | None = None) -> dict[str, Scalar]:
        """Asks a trial for every setting that applies, in the order of the tree.

        Args:
            trial: an Optuna trial, or anything with its three `suggest_*` methods.
            fixed: settings that are given instead of asked for.

        Raises:
            SpaceError: a given setting is unknown, out of its range, or does not apply beside the others.
        """
        return self._fill(fixed or {}, lambda name, domain: domain.suggest(trial, name))

    def sample(self, rng: random.Random, fixed: Mapping[str, Any] | None = None) -> dict[str, Scalar]:
        """Draws a point of the space."""
        return self._fill(fixed or {}, lambda name, domain: domain.sample(rng))

    def around(self, given: Mapping[str, Any], rng: random.Random) -> dict[str, Scalar]:
        """Keeps what is given of the settings that apply, and draws the others. Values are taken as they are: they come from points of this space."""
        return _walk(self.tree, "", lambda name, domain: given[name] if name in given else domain.sample(rng))

    def defaults(self, fixed: Mapping[str, Any] | None = None) -> dict[str, Scalar]:
        """Gives the paper settings as far as the space allows them, under what is fixed; also completes and checks a partial point."""
        return self._fill(fixed or {}, lambda name, domain: domain.default)

    def grid(self, points: int = 3) -> Iterator[dict[str, Scalar]]:
        """Walks over every combination, with `points` values of each range. The number of combinations explodes: narrow first."""
        yield from _combine(self.tree, "", points)

    def active(self, params: Mapping[str, Any]) -> dict[str, Domain]:
        """Lists the domains that apply at a point, those of fixed settings included."""
        found: dict[str, Domain] = {}

        def pick(name: str, domain: Domain) -> Scalar:
            found[name] = domain
            return domain.check(params[name]) if name in params else domain.default

        _walk(self.tree, "", pick)
        return found

    def names(self) -> dict[str, Domain]:
        """Lists every setting there is, under whatever choice; where a name stands under several options, the first one."""
        return _names(self.tree, "")

    def narrow(self, wanted: Mapping[str, Any]) -> "Space":
        """Makes a smaller space.

        Args:
            wanted: by dotted name, a range `{low, high}`, a list of values, or one value. Nested mappings are read as dotted names.

        Raises:
            SpaceError: unknown names, or values outside of the present space; all of them at once.
        """
        known = self.names()
        problems: list[tuple[str, str]] = []
        leaves = dict(flatten(wanted, known))
        for name in leaves:
            if name not in known:
                problems.append((name, f"no such setting; {_hint(name, known)}"))
        tree = _narrowed(self.tree, "", leaves, problems)
        if problems:
            raise SpaceError(*dict.fromkeys(problems))
        return Space(tree)

    def to_plain(self) -> dict[str, Any]:
        """Writes the space as what `narrow` takes, so that narrowing the same whole space by it gives this one again."""
        plain: dict[str, Any] = {}
        for name, domain in _names(self.tree, "").items():
            match domain:
                case Fixed():
                    plain[name] = domain.default
                case Choice():
                    plain[name] = list(domain.options) if len(domain.options) > 1 else domain.default
                case _ if hasattr(domain, "choices"):
                    plain[name] = list(domain.choices)
                case _:
                    plain[name] = {"low": domain.low, "high": domain.high}
        return plain

    def describe(self) -> str:
        """Draws the tree, a line for each setting with its range, default and source."""
        return "\n".join(_lines(self.tree, "", 0))

    def _fill(self, fixed: Mapping[str, Any], pick: Callable[[str, Domain], Scalar]) -> dict[str, Scalar]:
        """Walks the tree with the fixed settings in their places and the rest from `pick`."""
        used: set[str] = set()
        problems: list[tuple[str, str]] = []

        def choose(name: str, domain: Domain) -> Scalar:
            if name not in fixed:
                return pick(name, domain)
            used.add(name)
            try:
                return domain.check(fixed[name])
            except SpaceError as error:
                problems.extend((name, text) for _, text in error.problems)
                return domain.default

        values = _walk(self.tree, "", choose)
        known = self.names()
        for name in fixed:
            if name not in known:
                problems.append((name, f"no such setting; {_hint(name, known)}"))
            elif name not in used and not problems:
                problems.append((name, f"does not apply beside the other settings{_where(self.tree, '', name, values)}"))
        if problems:
            raise SpaceError(*problems)
        return values


def flatten(nested: Mapping[str, Any], known: Mapping[str, Domain], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Turns nested mappings into dotted names, stopping at settings and at what is no prefix of any setting."""
    for key, value in nested.items():
        name = f"{prefix}{key}"
        inner = any(other.startswith(f"{name}.") for other in known)
        if isinstance(value, Mapping) and name not in known and inner:
            yield from flatten(value, known, f"{name}.")
        else:
            yield name, value


def _walk(tree: Tree, prefix: str, pick: Callable[[str, Domain], Scalar]) -> dict[str, Scalar]:
    """Visits the settings that apply, choices before what they bring."""
    values: dict[str, Scalar] = {}
    for key, domain in tree.items():
        name = f"{prefix}{key}"
        values[name] = pick(name, domain)
        if isinstance(domain, Choice):
            values |= _walk(domain.options[values[name]], _beside(name), pick)
    return values


def _combine(tree: Tree, prefix: str, points: int) -> Iterator[dict[str, Scalar]]:
    if not tree:
        yield {}
        return
    (key, domain), *rest = tree.items()
    name = f"{prefix}{key}"
    for value in domain.grid(points):
        inner = domain.options[value] if isinstance(domain, Choice) else {}
        for below in _combine(inner, _beside(name), points):
            for after in _combine(dict(rest), prefix, points):
                yield {name: value, **below, **after}


def _names(tree: Tree, prefix: str) -> dict[str, Domain]:
    found: dict[str, Domain] = {}
    for key, domain in tree.items():
        name = f"{prefix}{key}"
        found.setdefault(name, domain)
        if isinstance(domain, Choice):
            for inner in domain.options.values():
                for below, other in _names(inner, _beside(name)).items():
                    found.setdefault(below, other)
    return found


def _narrowed(tree: Tree, prefix: str, wanted: Mapping[str, Any], problems: list[tuple[str, str]]) -> dict[str, Domain]:
    smaller: dict[str, Domain] = {}
    for key, domain in tree.items():
        name = f"{prefix}{key}"
        if isinstance(domain, Choice):
            options = {option: _narrowed(inner, _beside(name), wanted, problems) for option, inner in domain.options.items()}
            domain = replace(domain, options=options)
        if name in wanted:
            try:
                domain = domain.narrow(wanted[name])
            except SpaceError as error:
                problems.extend((name, text) for _, text in error.problems)
        smaller[key] = domain
    return smaller


def _lines(tree: Tree, prefix: str, depth: int) -> Iterator[str]:
    for key, domain in tree.items():
        name = f"{prefix}{key}"
        source = f"  [{domain.source}]" if domain.source else ""
        yield f"{'  ' * depth}{name}: {domain.describe()}{source}"
        if isinstance(domain, Choice):
            for option, inner in domain.options.items():
                if inner:
                    yield f"{'  ' * (depth + 1)}{option}:"
                    yield from _lines(inner, _beside(name), depth + 2)


def _beside(name: str) -> str:
    """Gives the prefix of a setting's neighbours."""
    return name[: name.rfind(".") + 1]


def _where(tree: Tree, prefix: str, wanted: str, values: Mapping[str, Any]) -> str:
    """Words which choice would have to be another for a setting to apply."""
    for key, domain in tree.items():
        if not isinstance(domain, Choice):
            continue
        name = f"{prefix}{key}"
        under = [option for option, inner in domain.options.items() if wanted in _names(inner, _beside(name))]
        if under and values.get(name) in under:
            return _where(domain.options[values[name]], _beside(name), wanted, values)
        if under:
            return f"; it does where {name} is {' or '.join(map(str, under))}"
    return ""


def _hint(name: str, known: Mapping[str, Domain]) -> str:
    """Words what the name of a group holds, the nearest known name, or the neighbours that there are."""
    inner = dict.fromkeys(other[len(name) + 1 :].partition(".")[0] for other in known if other.startswith(f"{name}."))
    if inner:
        return f"it is a group of settings: {', '.join(inner)}"
    groups = {other[:i] for other in known for i, letter in enumerate(other) if letter == "."}
    last = name.rpartition(".")[2]
    # Long names look alike by what they share; only the last word tells whether one of them was meant.
    likely = [other for other in [*known, *groups] if difflib.SequenceMatcher(None, other.rpartition(".")[2], last).ratio() >= 0.6]
    if near := difflib.get_close_matches(name, likely, n=1, cutoff=0.75):
        return f"did you mean {near[0]}?"
    around = _beside(name)
    while around and not any(other.startswith(around) for other in known):
        around = _beside(around[:-1])
    beside = dict.fromkeys(other[len(around) :].partition(".")[0] for other in known if other.startswith(around))
    return f"{f'under {around[:-1]} ' if around else ''}there are {', '.join(beside)}"
