"""What one setting may be: a range, a list, one value, or a choice that brings settings of its own. Used by every space of this room."""

import difflib
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

Scalar = str | int | float | bool | None


class SpaceError(Exception):
    """A setting outside of what may vary. `problems` holds (dotted name, what is wrong) so that a study file can add its line."""

    def __init__(self, *problems: tuple[str, str]) -> None:
        super().__init__("\n".join(f"{name}: {text}" if name else text for name, text in problems))
        self.problems = problems


class Trial(Protocol):
    """What a space asks of an Optuna trial."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = ...) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool = ...) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixed:
    """One value that is not varied, unless a study says so and `within` allows it."""

    default: Scalar
    """The value."""
    source: str = ""
    """Where it comes from: paper, reference code, study file."""
    within: "Float | Int | Categorical | Text | None" = None
    """What a study may set it to, or vary it in; None where it may not."""

    def suggest(self, trial: Trial, name: str) -> Scalar:
        """Gives the value without asking."""
        return self.default

    def sample(self, rng: random.Random) -> Scalar:
        """Gives the value."""
        return self.default

    def grid(self, points: int) -> list[Scalar]:
        """Lists the one value."""
        return [self.default]

    def check(self, value: Any) -> Scalar:
        """Gives `value` in the domain's own type, or raises SpaceError."""
        return _match((self.default,), value)

    def narrow(self, wanted: Any) -> "Domain":
        """Takes what `within` allows; otherwise accepts only what it already is."""
        if self.within is not None:
            # What a setting is anyway may lie outside of what a study can choose: none, where any other value is a number.
            return self if wanted is None and self.default is None else self.within.narrow(wanted)
        for value in wanted if isinstance(wanted, list | tuple) else [wanted]:
            self.check(value)
        return self

    def describe(self) -> str:
        """Says the domain in a few words."""
        may_be = f"a study may set {self.within.describe().rpartition(';')[0]}" if self.within is not None else "fixed"
        return f"{_say(self.default)} ({may_be})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """Any text, or null; there is nothing to suggest, so it only says within what a study may set a fixed setting."""

    says: str
    """What it is to be, for people: "a path"."""

    def narrow(self, wanted: Any) -> "Domain":
        """Takes one text, or a list of them."""
        values = list(dict.fromkeys(wanted)) if isinstance(wanted, list | tuple) else [wanted]
        for value in values:
            if value is not None and not isinstance(value, str):
                raise SpaceError(("", f"{value!r} is not {self.says}"))
        if not values:
            raise SpaceError(("", "an empty list leaves nothing to choose"))
        return Fixed(default=values[0], source="study") if len(values) == 1 else Categorical(choices=tuple(values), default=values[0], source="study")

    def describe(self) -> str:
        """Says the domain in a few words."""
        return self.says


@dataclass(frozen=True, kw_only=True, slots=True)
class Categorical:
    """One of a list of plain values."""

    choices: tuple[Scalar, ...]
    default: Scalar
    """Must be one of the choices."""
    source: str = ""
    """Where the default comes from."""
    also: "tuple[Scalar, ...] | Text" = ()
    """Values beside the choices that only a study may name, or any text; they are never suggested."""

    def __post_init__(self) -> None:
        if len(self.choices) == 0:
            raise SpaceError(("", "a list of choices must not be empty"))
        _match(self.choices, self.default)

    def suggest(self, trial: Trial, name: str) -> Scalar:
        """Asks the trial for one of the choices."""
        if len(self.choices) == 1:
            return self.default
        value: Scalar = trial.suggest_categorical(name, self.choices)
        return value

    def sample(self, rng: random.Random) -> Scalar:
        """Draws one of the choices evenly."""
        return rng.choice(self.choices)

    def grid(self, points: int) -> list[Scalar]:
        """Lists the choices, however many."""
        return list(self.choices)

    def check(self, value: Any) -> Scalar:
        """Gives `value` in the domain's own type, or raises SpaceError."""
        if isinstance(self.also, Text):
            return value if isinstance(value, str) else _match(self.choices, value)
        return _match((*self.choices, *self.also), value)

    def narrow(self, wanted: Any) -> "Domain":
        """Keeps the wanted choices; the default stays where it is among them, otherwise the first takes its place."""
        if isinstance(wanted, Mapping):
            raise SpaceError(("", f"{dict(wanted)} is a range, but this is a list: {self.describe()}"))
        return _listed([self.check(value) for value in (wanted if isinstance(wanted, list | tuple) else [wanted])], self)

    def describe(self) -> str:
        """Says the domain in a few words."""
        others = self.also.describe() if isinstance(self.also, Text) else ", ".join(map(_say, self.also))
        also = f", or {others} where a study says so" if others else ""
        return f"one of {', '.join(map(_say, self.choices))}{also}; default {_say(self.default)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Float:
    """A number between two ends, both included."""

    low: float
    high: float
    log: bool = False
    """True where factors matter more than differences."""
    default: float
    source: str = ""
    """Where the default comes from."""
    also: tuple[float, ...] = ()
    """Values beside the range that only a study may name, such as the 0 of an ablation; they are never suggested."""

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.default)

    def suggest(self, trial: Trial, name: str) -> Scalar:
        """Asks the trial for a number of the range."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def sample(self, rng: random.Random) -> Scalar:
        """Draws evenly, in the logarithm where `log` is set."""
        return _at(self.low, self.high, self.log, rng.random())

    def grid(self, points: int) -> list[Scalar]:
        """Lists `points` values from end to end, evenly spaced."""
        return [_at(self.low, self.high, self.log, i / max(points - 1, 1)) for i in range(points)]

    def check(self, value: Any) -> Scalar:
        """Gives `value` as a float, or raises SpaceError."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SpaceError(("", f"{value!r} is not a number; expected {self.describe()}"))
        if not self.low <= value <= self.high and value not in self.also:
            raise SpaceError(("", f"{_say(value)} is outside of {_say(self.low)} to {_say(self.high)}"))
        return float(value)

    def narrow(self, wanted: Any) -> "Domain":
        """Takes a smaller range `{low, high}`, a list of values, or one value; the default moves to the nearest value that is left."""
        if isinstance(wanted, Mapping):
            low, high = (replace(self, also=()).check(end) for end in _ends(wanted, self.low, self.high))
            return _ranged(self, low, high)
        return _listed([self.check(value) for value in (wanted if isinstance(wanted, list | tuple) else [wanted])], self)

    def describe(self) -> str:
        """Says the domain in a few words."""
        also = f", or {', '.join(map(_say, self.also))}" if self.also else ""
        return f"{_say(self.low)} to {_say(self.high)}{' (log)' if self.log else ''}{also}; default {_say(self.default)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Int:
    """A whole number between two ends, both included."""

    low: int
    high: int
    log: bool = False
    """True where factors matter more than differences."""
    default: int
    source: str = ""
    """Where the default comes from."""

    def __post_init__(self) -> None:
        _check_range(self.low, self.high, self.log, self.default)

    def suggest(self, trial: Trial, name: str) -> Scalar:
        """Asks the trial for a whole number of the range."""
        return trial.suggest_int(name, self.low, self.high, log=self.log)

    def sample(self, rng: random.Random) -> Scalar:
        """Draws evenly, in the logarithm where `log` is set."""
        if not self.log:
            return rng.randint(self.low, self.high)
        return min(self.high, max(self.low, round(_at(self.low - 0.499, self.high + 0.499, True, rng.random()))))

    def grid(self, points: int) -> list[Scalar]:
        """Lists at most `points` whole numbers from end to end."""
        return list(dict.fromkeys(round(_at(self.low, self.high, self.log, i / max(points - 1, 1))) for i in range(points)))

    def check(self, value: Any) -> Scalar:
        """Gives `value` as an int, or raises SpaceError."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise SpaceError(("", f"{value!r} is not a whole number; expected {self.describe()}"))
        if not self.low <= value <= self.high:
            raise SpaceError(("", f"{value} is outside of {self.low} to {self.high}"))
        return value

    def narrow(self, wanted: Any) -> "Domain":
        """Takes a smaller range `{low, high}`, a list of values, or one value; the default moves to the nearest value that is left."""
        if isinstance(wanted, Mapping):
            low, high = (self.check(end) for end in _ends(wanted, self.low, self.high))
            return _ranged(self, low, high)
        return _listed([self.check(value) for value in (wanted if isinstance(wanted, list | tuple) else [wanted])], self)

    def describe(self) -> str:
        """Says the domain in a few words."""
        return f"{self.low} to {self.high}{' (log)' if self.log else ''}, whole; default {self.default}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of several options, each bringing settings that exist only under it.

    The settings of an option are named as neighbours of the choice: under `generator.family`, the option `dcgan` holds `dcgan.g_lr`, whose full
    name is `generator.dcgan.g_lr`.
    """

    options: Mapping[Scalar, Mapping[str, "Domain"]]
    default: Scalar
    """Must be one of the options."""
    source: str = ""
    """Where the default comes from."""
    first_is_default: bool = False
    """True where no option is more usual than the others, so that the first one a study lists becomes the default."""

    def __post_init__(self) -> None:
        if not self.options:
            raise SpaceError(("", "a choice must have options"))
        _match(self.choices, self.default)

    @property
    def choices(self) -> tuple[Scalar, ...]:
        """The options' names, in order."""
        return tuple(self.options)

    def suggest(self, trial: Trial, name: str) -> Scalar:
        """Asks the trial for an option; its settings are asked for by the space."""
        if len(self.options) == 1:
            return self.default
        value: Scalar = trial.suggest_categorical(name, self.choices)
        return value

    def sample(self, rng: random.Random) -> Scalar:
        """Draws an option evenly."""
        return rng.choice(self.choices)

    def grid(self, points: int) -> list[Scalar]:
        """Lists the options, however many."""
        return list(self.options)

    def check(self, value: Any) -> Scalar:
        """Gives `value` as an option's name, or raises SpaceError."""
        return _match(self.choices, value)

    def narrow(self, wanted: Any) -> "Domain":
        """Keeps the wanted options with their settings."""
        if isinstance(wanted, Mapping):
            raise SpaceError(("", f"{dict(wanted)} is a range, but this is a list: {self.describe()}"))
        kept = [self.check(value) for value in (wanted if isinstance(wanted, list | tuple) else [wanted])]
        if not kept:
            raise SpaceError(("", "an empty list leaves nothing to choose"))
        default = self.default if self.default in kept and not self.first_is_default else kept[0]
        return replace(self, options={name: self.options[name] for name in kept}, default=default)

    def describe(self) -> str:
        """Says the domain in a few words."""
        if len(self.options) == 1:
            return f"{_say(self.default)} (fixed)"
        return f"one of {', '.join(map(_say, self.options))}; default {_say(self.default)}"


Domain = Fixed | Categorical | Float | Int | Choice


def nearest(name: str, known: Sequence[Scalar]) -> str:
    """Words the hint of a message about an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, [str(other) for other in known], n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(map(_say, known))}"


def _match(choices: Sequence[Scalar], value: Any) -> Scalar:
    """Finds a value among the choices; 1 is not True, but it is 1.0."""
    for choice in choices:
        if isinstance(choice, bool) == isinstance(value, bool) and choice == value:
            return choice
    near = difflib.get_close_matches(value, [str(choice) for choice in choices], n=1) if isinstance(value, str) else []
    raise SpaceError(("", f"{value!r} is not one of {', '.join(map(_say, choices))}" + (f"; did you mean {near[0]}?" if near else "")))


def _ends(wanted: Mapping[str, Any], low: float, high: float) -> tuple[Any, Any]:
    unknown = [key for key in wanted if key not in ("low", "high")]
    if unknown:
        raise SpaceError(("", f"{', '.join(map(str, unknown))}: a range has low and high, no more; it is now {_say(low)} to {_say(high)}"))
    return wanted.get("low", low), wanted.get("high", high)


def _ranged(domain: Any, low: Any, high: Any) -> Domain:
    """Narrows a Float or Int to new ends."""
    if low > high:
        raise SpaceError(("", f"low {_say(low)} is above high {_say(high)}"))
    if low == high:
        return Fixed(default=low, source="study")
    narrowed: Domain = replace(domain, low=low, high=high, default=min(max(domain.default, low), high))
    return narrowed


def _listed(values: list[Scalar], domain: Any) -> Domain:
    """Narrows a domain to some of its values."""
    values = list(dict.fromkeys(values))
    if not values:
        raise SpaceError(("", "an empty list leaves nothing to choose"))
    if len(values) == 1:
        return Fixed(default=values[0], source=domain.source if values[0] == domain.default else "study")
    if domain.default in values:
        return Categorical(choices=tuple(values), default=domain.default, source=domain.source)
    numeric = isinstance(domain, Float | Int)
    default = min(values, key=lambda value: abs(value - domain.default)) if numeric else values[0]
    return Categorical(choices=tuple(values), default=default, source="study")


def _check_range(low: float, high: float, log: bool, default: float) -> None:
    if not low <= default <= high:
        raise SpaceError(("", f"default {_say(default)} is outside of {_say(low)} to {_say(high)}"))
    if log and low <= 0:
        raise SpaceError(("", f"a logarithmic range cannot start at {_say(low)}"))


def _at(low: float, high: float, log: bool, share: float) -> float:
    """Gives the value at a share in [0, 1] of the way from low to high."""
    value = math.exp(math.log(low) + share * (math.log(high) - math.log(low))) if log else low + share * (high - low)
    return min(max(value, low), high)


def _say(value: Any) -> str:
    """Writes a value as a study file would."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
