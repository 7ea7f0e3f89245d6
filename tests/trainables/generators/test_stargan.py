"""StarGAN: its networks, its label pairs, its losses."""

import math

import pytest
import torch
from torch import Tensor, nn

from trainables.generators.bases.model import GeneratorModel
from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.pe_gan import PeGan, PeGanConfig
from trainables.generators.stargan import StarGan, StarGanConfig
from trainables.generators.training.loop import train
from trainables.generators.training.losses import autograd_slope

TINY = {"base_width": 8, "n_res_blocks": 1, "batch": 4, "n_critic": 1}


def scenes_and_defects() -> TrainingData:
    pixels = torch.randint(0, 255, (20, 1, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return TrainingData(items=pixels, labels=torch.arange(20) % 3, backgrounds=pixels[:5], num_classes=3)


def test_it_has_the_reference_s_parameters() -> None:
    # The authors' code at 128 px with ten domains: nine classes and the background.
    model = StarGan(StarGanConfig(), Subject(shape=(3, 128, 128), num_classes=9))
    assert [sum(weight.numel() for weight in network.parameters()) for network in (model.generator, model.critic)] == [8_446_208, 44_803_008]


def test_it_pads_with_zeros_alone() -> None:
    model = StarGan(StarGanConfig(**TINY), Subject(shape=(1, 64, 64), num_classes=3))
    assert {layer.padding_mode for layer in model.generator.modules() if isinstance(layer, nn.Conv2d)} == {"zeros"}
    assert {type(layer) for layer in model.generator.modules() if isinstance(layer, nn.Conv2d)} == {nn.Conv2d}


@pytest.mark.parametrize(("size_px", "stages", "patches"), [(32, 5, 1), (64, 6, 1), (128, 6, 2)])
def test_its_critic_has_six_convolutions_where_they_fit(size_px: int, stages: int, patches: int) -> None:
    critic = StarGan(StarGanConfig(**TINY), Subject(shape=(1, size_px, size_px), num_classes=3)).critic
    assert len(critic.trunk) == 2 * stages
    scores, logits = critic(torch.zeros(2, 1, size_px, size_px))
    assert (scores.shape, logits.shape) == ((2, 1, patches, patches), (2, 4))


def test_a_batch_is_sent_to_its_own_domains_in_another_order() -> None:
    model = StarGan(StarGanConfig(**TINY), Subject(shape=(1, 32, 32), num_classes=3))
    domains = torch.tensor([0, 1, 2, 0, 3, 3, 3, 3])
    drawn = [model.targets(domains, torch.Generator().manual_seed(seed)) for seed in range(20)]
    assert all(torch.equal(targets.sort().values, domains.sort().values) for targets in drawn)
    assert len({tuple(targets.tolist()) for targets in drawn}) > 10


def test_the_slope_of_its_critic_is_autograd_s() -> None:
    critic = StarGan(StarGanConfig(**TINY), Subject(shape=(1, 64, 64), num_classes=3)).critic.double()
    images = torch.randn(3, 1, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(critic.slope(images), autograd_slope(lambda points: critic(points)[0])(images))


@pytest.mark.parametrize(("family", "config"), [(StarGan, StarGanConfig), (PeGan, PeGanConfig)])
@pytest.mark.parametrize("loss", ["wgan_gp", "r1_logistic", "hinge", "rpgan"])
def test_each_loss_and_its_penalty_move_all_of_the_critic(family: type[GeneratorModel], config: type, loss: str) -> None:
    model = family(config(**{**TINY, "gp_interval": 2}, adversarial_loss=loss), Subject(shape=(1, 32, 32), num_classes=3))
    before = [weight.detach().clone() for weight in model.critic.parameters()]
    told = [last.metrics for last in train(model, scenes_and_defects(), start_step=0, stop_step=2, seed=0, report_every_s=0.0)]
    assert all(math.isfinite(value) for metrics in told for value in metrics.values())
    assert ["penalty" in metrics for metrics in told] == [loss != "hinge", False]
    assert not any(torch.equal(one, other) for one, other in zip(before, model.critic.parameters(), strict=True))


@pytest.mark.parametrize(("family", "config"), [(StarGan, StarGanConfig), (PeGan, PeGanConfig)])
def test_no_pass_of_the_generator_is_made_twice(family: type[GeneratorModel], config: type) -> None:
    passes = {}
    for weight in (10.0, 0.0):
        model = family(config(**{**TINY, "n_critic": 2}, lambda_rec=weight), Subject(shape=(1, 32, 32), num_classes=3))
        shapes: list[int] = []
        model.generator.register_forward_hook(lambda module, inputs, output, shapes=shapes: shapes.append(len(output)))  # type: ignore[misc]
        (last,) = train(model, scenes_and_defects(), start_step=0, stop_step=2, seed=0, report_every_s=1e9)
        passes[weight] = (shapes, "loss_rec" in last.metrics)
    # One for each critic step, the second of which serves the generator too, and one for the way back.
    assert passes == {10.0: ([4, 4, 4], True), 0.0: ([4, 4], False)}


@pytest.mark.parametrize(("family", "config"), [(StarGan, StarGanConfig), (PeGan, PeGanConfig)])
def test_both_networks_see_augmented_images(family: type[GeneratorModel], config: type) -> None:
    def first_step(diffaug: str) -> Tensor:
        model = family(config(**TINY, diffaug=diffaug), Subject(shape=(1, 32, 32), num_classes=3))
        seen: list[Tensor] = []
        model.critic.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))  # type: ignore[arg-type]
        list(train(model, scenes_and_defects(), start_step=0, stop_step=1, seed=0))
        assert len(seen) == 2
        return torch.cat(seen)

    plain, cut = first_step("none"), first_step("cutout")
    blank = [(images == 0).flatten(1).float().mean(dim=1) for images in (plain, cut)]
    assert float(blank[0].max()) < 0.01
    assert float(blank[1].min()) > 0.05


@pytest.mark.parametrize(("family", "config"), [(StarGan, StarGanConfig), (PeGan, PeGanConfig)])
def test_classes_may_be_told_by_vectors(family: type[GeneratorModel], config: type) -> None:
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    model = family(config(**TINY), Subject(shape=(1, 32, 32), num_classes=3, class_vectors=vectors))
    assert model.generator.layers[0].in_channels == 1 + 3
    (last,) = train(model, scenes_and_defects(), start_step=0, stop_step=2, seed=0, report_every_s=1e9)
    assert all(map(math.isfinite, last.metrics.values()))
