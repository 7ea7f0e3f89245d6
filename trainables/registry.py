"""Late resolution of the registries: plain dicts of `"name": "module:object"`, so that listing and validating import nothing heavy."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from trainables.errors import SettingsError


def resolve(target: str) -> Any:
    """Imports what `"module:object"` names.

    Raises:
        SettingsError: the text has no such form, or the module lacks the object.
    """
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise SettingsError(f"{target!r}: expected the form module:object, such as trainables.trial:run_trial")
    module = importlib.import_module(module_name)
    if not hasattr(module, name):
        near = difflib.get_close_matches(name, dir(module), n=1)
        raise SettingsError(f"{target!r}: {module_name} has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return getattr(module, name)


OPEN = "<name>"
"""At the end of a registry's name: whatever a user puts there is handed to the object, which gives what was asked for, or refuses."""


def pick(registry: Mapping[str, str], name: str, what: str) -> Any:
    """Resolves one name of a registry; `timm:resnet10t` resolves by an entry `timm:<name>`.

    Args:
        registry: names and `"module:object"` strings.
        name: the name asked for.
        what: what the registry holds, for the message: "generator family", "data set".

    Raises:
        SettingsError: the registry has no such name; the message says the nearest one and lists all.
    """
    for start in (known.removesuffix(OPEN) for known in registry if known.endswith(OPEN)):
        if name.startswith(start):
            return resolve(registry[start + OPEN])(name.removeprefix(start))
    if name not in registry:
        near = difflib.get_close_matches(name, registry, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SettingsError(f"no {what} is called {name!r}; {hint}there are {', '.join(sorted(registry))}")
    return resolve(registry[name])
