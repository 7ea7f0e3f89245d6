"""The whole space of a trial, put together from the families, the inspectors and the synthesis settings. Studies narrow it."""

from collections.abc import Mapping, Sequence

from spaces.conditioning import UNSEEN
from spaces.domains import Categorical, Choice, Domain, Fixed
from spaces.preprocessing import PREPROCESS
from spaces.space import Space, Tree
from spaces.synthesis import MASKS, SYNTHESIS


def whole_space(
    generators: Mapping[str, Tree],
    inspectors: Mapping[str, Tree],
    marks: Sequence[float],
    *,
    masks: bool = False,
    unseen: bool = False,
    patches: bool = False,
) -> Space:
    """Builds the space of a trial.

    Args:
        generators: settings of each family by its name.
        inspectors: settings of each inspector by its kind.
        marks: budgets a generator may be trained for, in kimg; the search starts at the lowest.
        masks: whether synthetic images are to have masks, so that those of generators that make none have to be made.
        unseen: whether there are classes without images, for which something has to stand.
        patches: whether pictures may be cut into patches.
    """
    ordered = tuple(sorted(marks))
    mark: Domain = Fixed(default=ordered[0], source="search.marks")
    if len(ordered) > 1:
        mark = Categorical(choices=ordered, default=ordered[0], source="search.marks")
    tree: dict[str, Domain] = {
        **({f"preprocess.{name}": domain for name, domain in PREPROCESS.items()} if patches else {}),
        "generator.family": Choice(options=_options(generators), default=next(iter(generators)), first_is_default=True),
        "generator.kimg": mark,
        **{f"synthesis.{name}": domain for name, domain in {**SYNTHESIS, **(MASKS if masks else {})}.items()},
        **({f"zero_shot.{name}": domain for name, domain in UNSEEN.items()} if unseen else {}),
        "inspector.kind": Choice(options=_options(inspectors), default=next(iter(inspectors)), first_is_default=True),
    }
    return Space(tree)


def _options(spaces: Mapping[str, Tree]) -> dict[str | int | float | bool | None, Tree]:
    return {name: {f"{name}.{setting}": domain for setting, domain in tree.items()} for name, tree in spaces.items()}
