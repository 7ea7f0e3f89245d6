"""Synthetic features of classes without an image: the generator of the seen classes, told another class vector. Called by `zero_shot.unit`."""

import torch
from torch import Tensor

from trainables.conditioning.attributes import AttributeTable
from trainables.conditioning.stage import Conditioned
from trainables.conditioning.unseen import unseen_vectors
from trainables.errors import SettingsError
from trainables.generators.bases.model import GeneratorModel
from trainables.generators.networks.layers import ClassCode
from trainables.generators.tf_vaegan import TfVaegan
from trainables.generators.training.stage import load_sampler, resolve, told_by
from trainables.generators.vaegan_ce import VaeganCe
from trainables.recipe import Amount, GeneratorPart, SynthesisPart
from trainables.store import Entry, Store, stage_key
from trainables.synthesis.blocks import Source
from trainables.zero_shot.router import Uses
from trainables.zero_shot.settings import ZeroShotPart

VERSION = 1
"""Counts up when the same vectors would be told in another way."""


def generator_problems(part: ZeroShotPart, generator: GeneratorPart, synthesis: SynthesisPart) -> list[str]:
    """Says why a generator cannot serve a zero-shot trial, each with what would work; nothing where it can."""
    family, _ = resolve(generator)
    said = []
    if not issubclass(family, TfVaegan):
        said.append(f"generator.family: {generator.family} cannot be told of a class without images; zero_shot works with tf_vaegan and vaegan_ce")
    elif told_by(generator).kind == "one_hot":
        said.append(f"generator.{generator.family}.conditioning: one_hot says nothing of unseen classes; expected attributes, learned or blend")
    if synthesis.filter != "none":
        said.append("synthesis.filter: no inspector knows unseen classes, so that none can filter their features; expected none")
    if part.unseen_ce != "dissimilarity_threshold" and unseen_count(synthesis.amount, [1]) < 1:
        said.append("synthesis.amount: unseen classes need synthetic features; expected more than none, such as per_class 1800 (TF-VAEGAN)")
    return said


def uses_of(part: ZeroShotPart, generator: GeneratorPart | None) -> Uses:
    """Says what the classifier is shown: TF-VAEGAN's sees hidden layer and embedding too, the proposal's and a baseline's features alone."""
    if part.classify != "family":
        return part.classify
    return "features" if generator is None or issubclass(resolve(generator)[0], VaeganCe) else "embedded"


def unseen_count(amount: Amount, real: list[int]) -> int:
    """Gives the number of synthetic features of each unseen class.

    An amount that is stated beside the real images of a class is taken beside those of a mean seen class, as an unseen one has none itself.

    Args:
        amount: of `synthesis`.
        real: number of training images of each seen class.
    """
    beside = round(sum(real) / len(real)) if amount.kind in ("fraction", "multiple") else 0
    return amount.counts([beside, max(real)])[0]


def told_unseen(part: ZeroShotPart, told: Conditioned, table: AttributeTable | None, unseen: tuple[str, ...]) -> Tensor | None:
    """Gives what stands for each unseen class, float32 (unseen, V), in the units of the seen classes' vectors; None where a threshold decides.

    Where the seen classes are told by their attributes themselves there is nothing to map, and `ridge_mapped` is `real`.

    Raises:
        SettingsError: an unseen class has no attributes.
    """
    if part.unseen_ce == "dissimilarity_threshold":
        return None
    assert table is not None and told.vectors is not None, "a generator that is told by vectors has attributes"
    seen, new = torch.from_numpy(told.table["real"].values), torch.from_numpy(table.only(unseen).values)
    # Besides the real embedding, the table holds what was made of it.
    reading = part.unseen_ce if len(told.table) > 1 else "real"
    return unseen_vectors(reading, real_seen=seen, learned_seen=told.vectors, real_unseen=new)


def mark_of(source: Source, store: Store) -> Entry:
    """Finds the generator's mark that a source draws from.

    Raises:
        SettingsError: the store has lost it.
    """
    generator, _, mark = source.key.rpartition("/")
    entry = store.lookup(f"generator/{generator}", mark)
    if entry is None:
        raise SettingsError(f"{store.root}/generator/{source.key}: gone from the store while it was in use.\n  Run again: it will be made anew.")
    return entry


def unseen_sources(source: Source, mark: Entry, vectors: Tensor, unseen: tuple[str, ...], *, device: str) -> dict[str, Source]:
    """Gives where the features of each unseen class come from.

    Training never learns of these vectors, so that one training serves all readings of `unseen_ce` and all sets of unseen classes.

    Args:
        source: of any seen class: all share one model.
        mark: what it draws from.
        vectors: (unseen, V), divided by the mean length of the seen classes' vectors, as the model was told those.
        unseen: names of the classes.
        device: where to draw.
    """
    loaded: list[GeneratorModel] = []

    def load() -> GeneratorModel:
        if not loaded:
            model = load_sampler(mark, settings=source.settings, device=device)
            assert isinstance(model, TfVaegan)
            for part in model.ema.modules():
                if isinstance(part, ClassCode):
                    part.vectors = vectors.to(device)
            loaded.append(model)
        return loaded[0]

    key = stage_key("unseen_source", version=VERSION, settings={"vectors": vectors.tolist()}, inputs=[source.key])
    return {cls: Source(key=key, label=label, sampler=load, settings=source.settings) for label, cls in enumerate(unseen)}
