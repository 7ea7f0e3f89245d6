"""PE-GAN: tables 1 and 2, its label pairs and its ablations."""

import pytest
import torch

from spaces.generators import GENERATOR_SPACES
from spaces.space import Space
from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.pe_gan import PeGan, PeGanConfig
from trainables.generators.training.loop import train

TINY = {"base_width": 8, "n_res_blocks": 1, "batch": 4, "n_critic": 1}


def scenes_and_defects() -> TrainingData:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (20, 1, 32, 32), generator=random, dtype=torch.uint8)
    return TrainingData(items=pixels, labels=torch.arange(20) % 3, backgrounds=pixels[:5], num_classes=3, background_label=2)


def test_it_has_the_paper_s_parameters() -> None:
    # Tables 1 and 2 at 128 px with nine defect classes and the background.
    model = PeGan(PeGanConfig(), Subject(shape=(3, 128, 128), num_classes=9))
    assert [sum(weight.numel() for weight in network.parameters()) for network in (model.generator, model.critic)] == [2_310_275, 4_441_920]


def test_it_takes_a_defect_free_class_for_the_background() -> None:
    model = PeGan(PeGanConfig(**TINY), scenes_and_defects().subject)
    assert (model.domains.num_classes, model.background_domain) == (3, 2)
    apart = PeGan(PeGanConfig(**TINY), Subject(shape=(1, 32, 32), num_classes=3))
    assert (apart.domains.num_classes, apart.background_domain) == (4, 3)
    seen: list[int] = []
    step = model.train_step
    model.train_step = lambda batch, at: (seen.extend(batch.labels.tolist()), step(batch, at))[1]  # type: ignore[method-assign]
    list(train(model, scenes_and_defects(), start_step=0, stop_step=5, seed=0))
    assert set(seen) == {0, 1}


def test_it_uses_every_background_before_any_twice() -> None:
    config = PeGanConfig(base_width=8, n_res_blocks=1, mirror_backgrounds=False)
    model = PeGan(config, Subject(shape=(1, 32, 32), num_classes=2))
    drawn = model.sample(0, 5, 3, backgrounds=scenes_and_defects().backgrounds)
    assert len({image.numpy().tobytes() for image in drawn.items}) == 5


@pytest.mark.parametrize("background_label", [None, 1])
def test_one_side_of_each_pair_is_the_background(background_label: int | None) -> None:
    subject = Subject(shape=(1, 32, 32), num_classes=4, background_label=background_label)
    model = PeGan(PeGanConfig(base_width=8, n_res_blocks=1, batch=64), subject)
    scene = model.background_domain
    domains = torch.cat([torch.zeros(32, dtype=torch.int64), torch.full((32,), scene)])
    targets = model.targets(domains, torch.Generator().manual_seed(0))
    assert set(targets[:32].tolist()) == {scene}
    assert set(targets[32:].tolist()) == set(range(4)) - {scene}


def test_production_alone_leaves_the_elimination_out() -> None:
    shapes: dict[str, list[int]] = {}
    for directions in ("both", "production_only"):
        model = PeGan(PeGanConfig(**TINY, both_directions=directions), scenes_and_defects().subject)
        made = shapes[directions] = []
        model.generator.register_forward_hook(lambda module, inputs, output, made=made: made.append(len(output)))  # type: ignore[misc]
        list(train(model, scenes_and_defects(), start_step=0, stop_step=1, seed=0))
    assert shapes == {"both": [4, 4], "production_only": [2, 2]}


def test_a_study_can_set_the_ablations() -> None:
    chosen = Space(GENERATOR_SPACES["pe_gan"]).narrow({"lambda_rec": 0, "both_directions": "production_only"}).defaults()
    assert (chosen["lambda_rec"], chosen["both_directions"]) == (0.0, "production_only")
