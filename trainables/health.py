"""Signs that a training has gone wrong without ending: marked by a name, with a sentence, beside the scores of a trial. Called by the units.

What leaves nothing to score ends the trial instead: numbers that are not finite (`diverged`), and items of a class that are nearly all the same
(`collapsed`), both in `generators.training.loop`, and a filter that refuses nearly everything (`collapsed`, in `synthesis.blocks`). What is here may
be right for all that, so that it only says where to look, and thresholds are far from what healthy trainings of any family show.
"""

from collections.abc import Mapping
from typing import Any

DIVERSITY, CRITIC_MARGIN = "diversity", "critic_margin"
"""Names under which the last step of a training tells what is looked at here."""

LEAST_DIVERSITY = 0.1
"""Share of the real items' spread that the items of every class should have, drawn from fixed latents. On the embedded surfaces at 32 px gan, dcgan
and lsgan reach 0.58 to 0.64 after 10 kimg; below 0.01 a trial has ended as collapsed."""
SATURATED_BELOW = 0.01
"""How near the critic's loss may come to the least that it can be, in nats or squared labels. At 0.01 nats it gives the images of a batch, real and
synthetic, their own names with probability 0.995: it teaches the generator little any more. The three trainings above stand at 0.2 to 1.5."""
MEMORISED_ABOVE = 0.5
"""Share of synthetic images that lie nearer to a training image than its neighbours do, of those by which they could exceed held-out real ones."""


def training_notes(trainings: Mapping[str, Mapping[str, Any]], kimg: float) -> dict[str, str]:
    """Says what looks wrong about the generators of a trial.

    Args:
        trainings: what the last step of each told, by the class that it is of, or by an empty name where one serves all.
        kimg: where they stand.
    """
    found = {}
    thin = {cls: told[DIVERSITY] for cls, told in trainings.items() if told.get(DIVERSITY, 1.0) < LEAST_DIVERSITY}
    if thin:
        cls, share = min(thin.items(), key=lambda item: float(item[1]))
        whose = f"of {cls}" if cls else "of a class"
        found["low_diversity"] = f"at {kimg:g} kimg the items {whose} vary {share:.1%} as much as real ones: the generator may be collapsing"
    sure = {cls: told[CRITIC_MARGIN] for cls, told in trainings.items() if told.get(CRITIC_MARGIN, 1.0) < SATURATED_BELOW}
    if sure:
        cls, margin = min(sure.items(), key=lambda item: float(item[1]))
        whose = f" of {cls}" if cls else ""
        found["saturated"] = f"at {kimg:g} kimg the critic{whose} is sure of every image ({margin:.2g} above its least loss): it teaches little"
    return found


def memorisation_note(values: Mapping[str, float | None], extractor: str) -> dict[str, str]:
    """Says whether a generator repeats its training images, by the scores of a trial on validation."""
    name = f"val_memorisation_{extractor}"
    share, floor = values.get(name), values.get(f"{name}_floor")
    if share is None or floor is None or share - floor <= MEMORISED_ABOVE * (1.0 - floor):
        return {}
    return {"memorised": f"{share:.0%} of the synthetic images lie as near to a training image as copies do; of held-out real ones {floor:.0%}"}
