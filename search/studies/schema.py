"""The JSON Schema of study files, for editors that complete and check while one types. Called by `tundish schema`."""

import ast
import dataclasses
import inspect
import re
import textwrap
import types
import typing
from collections.abc import Mapping
from typing import Any

from search.studies.study import Study
from search.studies.study_file import SECTIONS, base_space
from spaces.domains import Categorical, Choice, Domain, Fixed, Float, Int, Text
from spaces.inspectors import INSPECTOR_SPACES, OPEN, OPEN_LETTERS
from trainables.datasets import DATASETS
from trainables.scores.names import EXTRACTORS, SIZE_GROUPS, score_names
from trainables.tasks import TASKS

_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def json_schema() -> dict[str, Any]:
    """Builds the schema, out of the settings' own types, explanations and ranges."""
    sections = {name: _object(kind) for name, kind in SECTIONS.items()}
    sections["data"]["properties"]["dataset"] = {"enum": list(DATASETS), "description": "Which layout, or procedural for the embedded surfaces."}
    search = sections["search"]["properties"]
    search["try"] = search.pop("tries")
    explained = _explanations(Study)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tundish study",
        "type": "object",
        "required": ["study"],
        "additionalProperties": False,
        "properties": {
            "study": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "description": explained["name"]},
            "seed": {"type": "integer", "minimum": 0, "description": explained["seed"]},
            "task": {"enum": list(TASKS), "description": explained["task"], "default": "classify"},
            "space": {**_space_schema(), "description": explained["space"]},
            "objectives": _objectives(),
            "limits": _limits(),
            **sections,
        },
    }


def _object(kind: type) -> dict[str, Any]:
    """Describes a dataclass of settings."""
    hints, explained = typing.get_type_hints(kind), _explanations(kind)
    properties = {}
    for item in dataclasses.fields(kind):
        described = _of(hints[item.name])
        if item.name in explained:
            described["description"] = explained[item.name]
        if isinstance(item.default, str | int | float | bool):
            described["default"] = item.default
        properties[item.name] = described
    return {"type": ["object", "null"], "additionalProperties": False, "properties": properties}


def _of(hint: Any) -> dict[str, Any]:
    """Describes a type."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _object(typing.cast(type, hint))
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_of(arg) for arg in args]}
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin is tuple:
        return {"type": "array", "items": _of(args[0])}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object"}
    return {"type": _SCALARS[hint]} if hint in _SCALARS else {}


def _explanations(kind: type) -> dict[str, str]:
    """Reads the line of explanation under each field of a dataclass."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, line in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
            assert isinstance(field.target, ast.Name)
            found[field.target.id] = str(line.value.value)
    return found


def _limits() -> dict[str, Any]:
    described = {name: {"type": "number"} for name in _directions()}
    open_ends = {_IN_PARTS: {"type": "number"}}
    bounds = {"type": ["object", "null"], "properties": described, "patternProperties": open_ends, "additionalProperties": False}
    return {"description": _explanations(Study)["limits"], **bounds}


_IN_PARTS = r"^val_.+(\.|@.+=).+$"
"""Scores of a class, or of a group by a user's column."""


def _directions() -> dict[str, str]:
    """Lists every score and cost with the way that is better."""
    scores: dict[str, str] = {"val_kid": "minimize", "val_frechet": "minimize"}
    for task in TASKS:
        # The router of zero_shot is scored as a whole.
        groups = SIZE_GROUPS if task != "zero_shot" else ()
        scores |= {name: way for extractor in EXTRACTORS for name, way in score_names(extractor, task=task, groups=groups).items()}
    return scores


def _objectives() -> dict[str, Any]:
    return {
        "description": "What the search improves: scores on validation, and costs.",
        "anyOf": [
            {
                "type": "object",
                "properties": {name: {"enum": [way]} for name, way in _directions().items()},
                "patternProperties": {_IN_PARTS: {"enum": ["maximize", "minimize"]}},
                "additionalProperties": False,
                "minProperties": 1,
            },
            {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["score"]}]}, "minItems": 1},
        ],
    }


def _space_schema() -> dict[str, Any]:
    """Describes what a study may narrow, nested; dotted names are taken too."""
    root: dict[str, Any] = {"type": ["object", "null"], "properties": {}, "additionalProperties": False}
    for name, domain in base_space((20.0,), [name for name in INSPECTOR_SPACES if name.endswith(OPEN)]).names().items():
        node = root
        *groups, last = name.split(".")
        for group in groups:
            node = _below(node, group).setdefault(_pattern(group), {"type": "object", "properties": {}, "additionalProperties": False})
        _below(node, last)[_pattern(last)] = _narrowing(domain)
        _below(root, name)[_pattern(name)] = _narrowing(domain)
    # Marks are named in search.marks, whatever they are.
    marks = {"description": "The marks of search.marks that are left to choose from."}
    root["properties"]["generator"]["properties"]["kimg"] = root["properties"]["generator.kimg"] = marks
    return root


def _below(node: dict[str, Any], name: str) -> dict[str, Any]:
    """Gives the place for a name among what an object may hold."""
    properties: dict[str, Any] = node.setdefault("patternProperties" if OPEN in name else "properties", {})
    return properties


def _pattern(name: str) -> str:
    """Turns a name with an open end into a pattern; leaves others."""
    return f"^{re.escape(name).replace(re.escape(OPEN), OPEN_LETTERS)}$" if OPEN in name else name


def _narrowing(domain: Domain) -> dict[str, Any]:
    """Describes what a setting may be narrowed to: a value, a list of values, or a range."""
    ranges: list[dict[str, Any]] = []
    bounds = domain.within if isinstance(domain, Fixed) and domain.within is not None else domain
    value: dict[str, Any]
    if isinstance(bounds, Float | Int):
        value = {"type": "number" if isinstance(bounds, Float) else "integer", "minimum": bounds.low, "maximum": bounds.high}
        ranges = [{"type": "object", "properties": {"low": value, "high": value}, "additionalProperties": False}]
        if isinstance(bounds, Float) and bounds.also:
            value = {"anyOf": [value, {"enum": list(bounds.also)}]}
    elif isinstance(bounds, Categorical):
        any_text = isinstance(bounds.also, Text)
        value = {"enum": [*bounds.choices, *(() if isinstance(bounds.also, Text) else bounds.also)]}
        value = {"anyOf": [value, {"type": "string"}]} if any_text else value
    elif isinstance(bounds, Choice):
        open_ends = [{"type": "string", "pattern": _pattern(str(name))} for name in bounds.choices if OPEN in str(name)]
        value = {"enum": [name for name in bounds.choices if OPEN not in str(name)]}
        value = {"anyOf": [value, *open_ends]} if open_ends else value
    elif isinstance(bounds, Text):
        value = {"type": ["string", "null"]}
    else:
        value = {"const": bounds.default}
    if isinstance(domain, Fixed) and domain.default is None and isinstance(bounds, Float | Int):
        value = {"anyOf": [value, {"type": "null"}]}
    source = f" [{domain.source}]" if domain.source else ""
    return {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}, *ranges], "description": f"{domain.describe()}{source}"}
