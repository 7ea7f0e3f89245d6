"""Settings between plain data and frozen dataclasses, strictly: unknown names and wrong types are refused with the nearest valid name."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from trainables.errors import SettingsError

T = TypeVar("T")


def to_plain(settings: Any) -> Any:
    """Turns a dataclass of settings into plain JSON data; tuples become lists."""
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return {field.name: to_plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)}
    if isinstance(settings, Mapping):
        return {str(key): to_plain(value) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [to_plain(item) for item in settings]
    return settings


def from_plain(cls: type[T], plain: Mapping[str, Any], *, where: str = "") -> T:
    """Builds a dataclass of settings from plain data.

    Args:
        cls: a frozen dataclass whose fields are scalars, literals, tuples, mappings, unions or other such dataclasses.
        plain: names and values; a missing name takes its default.
        where: dotted name of these settings, for messages.

    Raises:
        SettingsError: unknown or missing names, wrong types or values out of range, all in one message.
    """
    hints = _hints(cls)
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name, value in plain.items():
        dotted = f"{where}.{name}" if where else name
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            problems.append(f"{dotted}: no such setting" + (f"; did you mean {near[0]}?" if near else f"; there are {', '.join(hints)}"))
            continue
        try:
            values[name] = _convert(hints[name], value, dotted)
        except SettingsError as error:
            problems.append(str(error))
    needed = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING]  # type: ignore[arg-type]
    problems += [f"{where}.{name}: missing" if where else f"{name}: missing" for name in needed if name not in plain]
    made: T | None = None
    if all(name in values for name in needed):
        # With defaults in the place of what could not be read, so that ranges are complained about in the same breath.
        try:
            made = cls(**values)
        except SettingsError as error:
            problems += [f"{where}: {line}" if where else line for line in str(error).splitlines()]
    if problems:
        raise SettingsError("\n".join(problems))
    assert made is not None
    return made


def _hints(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _convert(hint: Any, value: Any, dotted: str) -> Any:
    """Checks a value against a type hint and gives it back in the hint's own type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        inside: SettingsError | None = None
        for option in args:
            try:
                return _convert(option, value, dotted)
            except SettingsError as error:
                # What is wrong inside of a list or a mapping says more than that it is not what it looks like.
                inside = error if str(error).startswith((f"{dotted}.", f"{dotted}[")) else inside
        if inside is not None:
            raise inside
        raise SettingsError(f"{dotted}: {value!r} is not {' or '.join(_name(option) for option in args)}")
    if origin is typing.Literal:
        if value in args and type(value) in {type(arg) for arg in args}:
            return value
        near = difflib.get_close_matches(str(value), [str(arg) for arg in args], n=1)
        raise SettingsError(f"{dotted}: {value!r} is not one of {', '.join(map(str, args))}" + (f"; did you mean {near[0]}?" if near else ""))
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_plain(typing.cast(type, hint), value, where=dotted)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [args[0]] * len(value) if len(args) == 2 and args[1] is Ellipsis else list(args)
        if len(kinds) == len(value):
            return tuple(_convert(kind, item, f"{dotted}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))
    if origin in (dict, Mapping) or (origin is not None and isinstance(origin, type) and issubclass(origin, Mapping)):
        if isinstance(value, Mapping):
            return {str(key): _convert(args[1], item, f"{dotted}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise SettingsError(f"{dotted}: {value!r} is not {_name(hint)}")


def _name(hint: Any) -> str:
    """Says a type as a person would."""
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}
    if typing.get_origin(hint) is tuple:
        return f"a list, each {_name(typing.get_args(hint)[0])}"
    if isinstance(origin := typing.get_origin(hint), type) and issubclass(origin, Mapping):
        return f"names, each with {_name(typing.get_args(hint)[1])}"
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(map(str, typing.get_args(hint)))
    return names.get(hint) or str(getattr(hint, "__name__", hint))
