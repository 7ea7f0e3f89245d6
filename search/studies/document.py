"""A YAML document with the line of every name, so that each complaint about a study file can point at its place."""

import re
from collections.abc import Sequence
from typing import Any

import yaml


class DocumentError(Exception):
    """Text that is not a YAML mapping. The message starts with file:line."""


class Document:
    """Plain data, and where each piece of it was written."""

    def __init__(self, plain: dict[str, Any], lines: dict[str, str], name: str) -> None:
        self.plain = plain
        self.name = name
        self._lines = lines

    def where(self, dotted: str) -> str:
        """Gives file:line (or the `--set`) of a dotted name, or of the nearest thing around it."""
        path = dotted
        while path:
            if path in self._lines:
                return self._lines[path]
            # A section that only an override names has a place below itself.
            if (below := next((line for name, line in self._lines.items() if name.startswith(f"{path}.")), None)) is not None:
                return below
            path = re.sub(r"(\[\d+\]|(^|\.)[^.\[\]]*)$", "", path)
        return self.name

    def set(self, assignment: str) -> None:
        """Applies one override `a.b.c=value`; the value is read as YAML.

        Raises:
            DocumentError: the text is not an assignment, or goes through something that has no parts.
        """
        dotted, equals, text = assignment.partition("=")
        dotted = dotted.strip()
        if not equals or "" in dotted.split("."):
            raise DocumentError(f"--set {assignment}: expected a.b=value, for example --set search.trials=20")
        source = f"--set {assignment}"
        value = read_value(text, source)
        node, rest = self.plain, dotted
        while (head := _longest_key(node, rest)) != rest:
            if head is None:
                head = rest.partition(".")[0]
                if head == rest:
                    break
            if node.get(head) is None:
                node[head] = {}
            if not isinstance(node[head], dict):
                raise DocumentError(f"{source}: {head} is {node[head]!r} in {self.name} and has no parts")
            node, rest = node[head], rest[len(head) + 1 :]
        node[rest] = value
        # What stood below the old value has no line any more.
        self._lines = {path: line for path, line in self._lines.items() if not path.startswith((f"{dotted}.", f"{dotted}["))}
        self._lines[dotted] = source


def read_document(text: str, name: str, sets: Sequence[str] = ()) -> Document:
    """Reads a YAML mapping and applies overrides.

    Args:
        text: the YAML text.
        name: how to call it in messages, usually its path.
        sets: overrides `a.b=value`, applied in order.

    Raises:
        DocumentError: not YAML, not a mapping, a name given twice, or an override that cannot be applied.
    """
    node = _compose(text, name)
    lines: dict[str, str] = {}
    try:
        plain = {} if node is None else _build(node, "", name, lines)
    except RecursionError as error:
        raise DocumentError(f"{name}: an alias (*name) stands inside of what it names") from error
    if plain is None:
        plain = {}
    if not isinstance(plain, dict):
        raise DocumentError(f"{name}:1: expected names with values (`data:`, `search:`, ...), found {type(plain).__name__}")
    document = Document(plain, lines, name)
    for assignment in sets:
        document.set(assignment)
    return document


def read_value(text: str, source: str) -> Any:
    """Reads one YAML value.

    Raises:
        DocumentError: it is not YAML.
    """
    node = _compose(text, source)
    return None if node is None else _build(node, "", source, {})


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain scalars: `1e-4` is a number, `1:30` is none, and only true and false are truths (`no`, `on` are texts)."""


_OWN_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag not in _OWN_TAGS]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+|[-+]?\.inf|\.nan)$"),
    list("-+0123456789."),
)


def _compose(text: str, name: str) -> yaml.Node | None:
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise DocumentError(f"{name}{line}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise DocumentError(f"{name}: not YAML: {error}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _build(node: yaml.Node, path: str, name: str, lines: dict[str, str]) -> Any:
    """Turns a node into plain data and notes its lines."""
    line = f"{name}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode):
        plain: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            inner = f"{path}.{key}" if path else key
            if key in plain:
                raise DocumentError(f"{name}:{key_node.start_mark.line + 1}: {inner} is given twice")
            lines[inner] = f"{name}:{key_node.start_mark.line + 1}"
            plain[key] = _build(value_node, inner, name, lines)
        return plain
    if isinstance(node, yaml.SequenceNode):
        items = []
        for i, item in enumerate(node.value):
            lines[f"{path}[{i}]"] = f"{name}:{item.start_mark.line + 1}"
            items.append(_build(item, f"{path}[{i}]", name, lines))
        return items
    loader = _Loader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise DocumentError(f"{line}: {node.value!r} cannot be read as a value; put it in quotes") from error
    finally:
        loader.dispose()


def _longest_key(mapping: dict[str, Any], dotted: str) -> str | None:
    """Finds the longest key that the dotted name starts with; study files may write `generator.family:` as one key."""
    fitting = [key for key in mapping if dotted == key or dotted.startswith(f"{key}.")]
    return max(fitting, key=len, default=None)
