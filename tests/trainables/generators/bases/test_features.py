"""Families that make features: losses against closed forms, the turns of feedback, and what the oversamplers draw."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from trainables.generators.adasyn import Adasyn, AdasynConfig
from trainables.generators.bases.features import Scaling, gaussian_kl
from trainables.generators.bases.model import GeneratorModel
from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.smote import Smote, SmoteConfig
from trainables.generators.tf_vaegan import PENALTY_HELD, ReconstructionLoss, TfVaegan, TfVaeganConfig, reconstruction_loss
from trainables.generators.training.loop import train
from trainables.generators.training.losses import autograd_slope, gradient_penalty
from trainables.generators.vaegan_ce import VaeganCe, VaeganCeConfig
from trainables.scores.distances import floors, kid

CLASSES, WIDTH = 3, 32
TINY = {"hidden": 16, "latent_size": 4, "batch": 8, "critic_iter": 2, "lr": 1e-3}


def toy(count: int = 240, seed: int = 0) -> TrainingData:
    """Three classes that a line separates, each spread along a few directions of its space."""
    random = torch.Generator().manual_seed(7)
    centres, along = 2.0 * torch.rand(CLASSES, WIDTH, generator=random), 0.3 * torch.randn(4, WIDTH, generator=random)
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    return TrainingData(items=torch.relu(centres[labels] + torch.randn(count, 4, generator=random) @ along), labels=labels, num_classes=CLASSES)


def shuffled(data: TrainingData) -> TrainingData:
    return replace(data, labels=data.labels[torch.randperm(len(data.labels), generator=torch.Generator().manual_seed(3))])


def trained(model: GeneratorModel, data: TrainingData, steps: int) -> GeneratorModel:
    for _ in train(model, data, start_step=0, stop_step=steps, seed=9, report_every_s=1e9):
        pass
    return model


def tf_vaegan(num_classes: int = CLASSES, vectors: Tensor | None = None, **settings: object) -> TfVaegan:
    config = TfVaeganConfig(**{**TINY, **settings})  # type: ignore[arg-type]
    return TfVaegan(config, Subject(shape=(WIDTH,), num_classes=num_classes, class_vectors=vectors), seed=5)


def test_kl_is_the_divergence_from_the_standard_normal() -> None:
    random = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 6, 5, generator=random)
    spread = (0.5 * log_variance).exp()
    expected = kl_divergence(Normal(mean, spread), Normal(0.0, 1.0)).sum(dim=1).mean()
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected)
    assert gaussian_kl(torch.zeros(2, 3), torch.zeros(2, 3)) == 0


@pytest.mark.parametrize(("kind", "expected"), [("mse", 74 / 6), ("l1", 14 / 6), ("weighted_l1", ((27 + 64) / 5 + 49) / 2)])
def test_reconstruction_losses_have_their_closed_forms(kind: ReconstructionLoss, expected: float) -> None:
    target = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    apart = torch.tensor([[3.0, -4.0, 0.0], [0.0, 0.0, 7.0]])
    torch.testing.assert_close(reconstruction_loss(kind, target + apart, target), torch.tensor(expected))
    read = target.clone().requires_grad_(True)
    reconstruction_loss(kind, read, target).backward()
    assert read.grad is not None and torch.equal(read.grad, torch.zeros(2, 3)), "an exact reading has no gradient, and no division by nothing"


@pytest.mark.parametrize(("mean", "factor"), [(1.06, 1.1), (1.05, 1.0), (1.02, 1.0), (1.0, 1 / 1.1), (0.0, 1 / 1.1)])
def test_the_penalty_s_weight_follows_the_mean_penalty_of_a_round(mean: float, factor: float) -> None:
    model = tf_vaegan()
    model.penalty_sum.fill_(mean * model.config.critic_iter)
    model.adapt()
    assert float(model.penalty_weight) == pytest.approx(10.0 * factor)
    assert model.penalty_sum == 0
    for _ in range(100):
        model.penalty_sum.fill_(100.0 if factor > 1 else 0.0)
        model.adapt()
    assert float(model.penalty_weight) == pytest.approx(10.0 * (PENALTY_HELD if factor > 1 else 1 / PENALTY_HELD))
    fixed = tf_vaegan(adaptive_gp=False)
    fixed.penalty_sum.fill_(5.0)
    fixed.adapt()
    assert fixed.penalty_weight == 10.0 and fixed.penalty_sum == 0


def test_feedback_is_off_in_the_first_round_and_on_in_the_second() -> None:
    model, data = tf_vaegan(), toy()
    assert [model.feedback_weight(step) for step in range(6)] == [0.0, 0.0, 0.01, 0.01, 0.0, 0.0]
    assert model.steps_per_period == 4
    begun = [weight.detach().clone() for weight in model.generator.feedback.parameters()]  # type: ignore[union-attr]
    trained(model, data, 2)
    assert all(map(torch.equal, begun, model.generator.feedback.parameters()))  # type: ignore[union-attr]
    model = trained(tf_vaegan(), data, 4)
    assert not any(map(torch.equal, begun, model.generator.feedback.parameters()))  # type: ignore[union-attr]
    without = VaeganCe(VaeganCeConfig(**TINY), data.subject)  # type: ignore[arg-type]
    assert without.generator.feedback is None and without.steps_per_period == 2 and without.feedback_weight(3) == 0


def test_a_second_pass_adds_the_feedback_to_the_hidden_layer() -> None:
    generator = tf_vaegan().generator
    z, labels = torch.randn(5, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 0, 1])
    first = generator(z, labels)
    hidden = generator.attributes.entry(first.sigmoid())  # type: ignore[union-attr]
    told = torch.cat([z, generator.decoder.code(labels)], dim=1)
    expected = generator.decoder.exit(generator.decoder.entry(told) + 0.5 * generator.feedback(hidden))  # type: ignore[misc]
    torch.testing.assert_close(generator(z, labels, 0.5), expected)
    assert not torch.allclose(first, expected)


def test_drawing_alone_follows_the_weight_of_the_feedback_in_drawing() -> None:
    one, other = tf_vaegan(a2=0.01), tf_vaegan(a2=0.5)
    other.load_sampler(one.sampler_state())
    assert not torch.equal(one.sample(0, 4, 1).items, other.sample(0, 4, 1).items)
    assert "a2" in TfVaegan.sampling_settings


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_penalty_s_gradient_reaches_the_critic(precision: str) -> None:
    model, data = TfVaegan(TfVaeganConfig(**TINY), toy().subject, precision=precision), toy()  # type: ignore[arg-type]
    model.fit(data)
    real, labels = model.generator.scaling(data.items[:8]), data.labels[:8]
    slope = autograd_slope(lambda points: model.critic(points, labels))
    gradient_penalty(slope, real, 1.0 - real, model.random(0)).backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for name, weight in model.critic.score.named_parameters() if "weight" in name)


@pytest.mark.parametrize(("freeze_dec", "moves"), [(True, False), (False, True)])
def test_a_frozen_attribute_decoder_stays_while_the_generator_moves(freeze_dec: bool, moves: bool) -> None:
    model, data = tf_vaegan(freeze_dec=freeze_dec), toy()
    model.fit(data)
    assert model.attributes is not None
    real, labels = model.generator.scaling(data.items[:8]), data.labels[:8]
    before, scored = [weight.detach().clone() for weight in model.attributes.parameters()], model.critic(real, labels)
    model.generator_step(real, labels, model.random(0), 0.0)
    assert all(map(torch.equal, before, model.attributes.parameters())) == (not moves)
    assert torch.equal(scored, model.critic(real, labels))


def test_real_features_lie_in_the_unit_range_and_come_back() -> None:
    values = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)) * 5
    values[:, 1] = 4.0
    scaling = Scaling(3)
    scaling.low.copy_(values.amin(dim=0))
    scaling.span.copy_(values.amax(dim=0) - values.amin(dim=0))
    scaled = scaling(values)
    assert torch.equal(scaled.amin(dim=0), torch.zeros(3)) and torch.equal(scaled.amax(dim=0), torch.tensor([1.0, 0.0, 1.0]))
    torch.testing.assert_close(scaling.back(scaled), values)


@pytest.mark.parametrize("vectors", [None, torch.rand(CLASSES, 29, generator=torch.Generator().manual_seed(1)), torch.eye(CLASSES)[:, :2] + 0.1])
@pytest.mark.parametrize("settings", [{}, {"feedback": False, "unit_attributes": False, "recons_loss": "mse"}, {"encoded_noise": False}])
def test_classes_are_told_by_vectors_of_any_length(vectors: Tensor | None, settings: dict[str, object]) -> None:
    data = replace(toy(), class_vectors=vectors)
    model = trained(tf_vaegan(vectors=vectors, **settings), data, 4)
    assert model.attributes is not None
    assert model.attributes.exit.out_features == (CLASSES if vectors is None else vectors.shape[1])
    assert not torch.equal(model.sample(0, 4, 1).items, model.sample(1, 4, 1).items)


def test_a_single_class_has_no_attributes_to_read() -> None:
    model = trained(tf_vaegan(num_classes=1), toy().only(1), 4)
    assert isinstance(model, TfVaegan) and model.attributes is None and model.generator.feedback is None
    assert model.sample(0, 3, 1).items.shape == (3, WIDTH)


def test_widths_of_the_networks_are_the_reference_s() -> None:
    subject = Subject(shape=(2048,), num_classes=2, class_vectors=torch.rand(2, 85))
    with torch.device("meta"):
        model = TfVaegan.__new__(TfVaegan)
        model.config, model.subject, model.device = TfVaeganConfig(latent_size=85), subject, torch.device("meta")
        generator, critic = model.build()
    decoder = (85 + 85) * 4096 + 4096 + 4096 * 2048 + 2048
    attributes = 2048 * 4096 + 4096 + 4096 * 85 + 85
    feedback = 2 * (4096 * 4096 + 4096)
    encoder = (2048 + 85) * 4096 + 4096 + 4096 * 170 + 170 + 2 * (170 * 85 + 85)
    score = (2048 + 85) * 4096 + 4096 + 4096
    assert sum(weight.numel() for weight in generator.parameters()) == decoder + attributes + feedback
    assert sum(weight.numel() for weight in critic.parameters()) == encoder + score


def on_segments(drawn: Tensor, own: Tensor, neighbors: int) -> Tensor:
    """Says of each drawn item (N, D) whether it lies between an item of `own` (M, D) and one of its nearest neighbours there."""
    near = torch.cdist(own, own).fill_diagonal_(float("inf")).topk(neighbors, largest=False).indices
    starts, ends = own.repeat_interleave(neighbors, dim=0), own[near.flatten()]
    along = ends - starts
    share = (((drawn[:, None] - starts) * along).sum(dim=2) / along.square().sum(dim=1)).clamp(0.0, 1.0)
    return (starts + share[:, :, None] * along - drawn[:, None]).norm(dim=2).amin(dim=1) < 1e-4


@pytest.mark.parametrize("model", [Smote(SmoteConfig(k_neighbors=3), toy().subject), Adasyn(AdasynConfig(n_neighbors=3), toy().subject)])
def test_draws_lie_on_segments_between_neighbours_of_the_class(model: Smote) -> None:
    data = toy(90)
    data = replace(data, items=data.items + 6.0 * torch.randn(90, WIDTH, generator=torch.Generator().manual_seed(2)))  # classes that overlap
    model.fit(data)
    for label in range(CLASSES):
        drawn = model.sample(label, 50, 1).items
        assert drawn.shape == (50, WIDTH)
        assert on_segments(drawn, data.items[data.labels == label], 3).all()
        assert not on_segments(drawn, data.items[data.labels != label], 3).any()


def test_a_class_of_two_items_is_mixed_of_both() -> None:
    data = TrainingData(items=torch.tensor([[0.0, 0.0], [1.0, 2.0], [9.0, 9.0], [9.0, 8.0]]), labels=torch.tensor([0, 0, 1, 1]), num_classes=2)
    for model in (Smote(SmoteConfig(), data.subject), Adasyn(AdasynConfig(), data.subject), Smote(SmoteConfig(), data.only(0).subject)):
        model.fit(data if model.subject.num_classes == 2 else data.only(0))
        drawn = model.sample(0, 40, 1).items
        torch.testing.assert_close(drawn[:, 1], 2 * drawn[:, 0])
        assert 0 <= drawn.min() and drawn[:, 0].max() <= 1 and drawn[:, 0].std() > 0.1


def test_adasyn_draws_more_where_another_class_is_near() -> None:
    random = torch.Generator().manual_seed(0)
    far, border = 0.3 * torch.randn(40, 2, generator=random), 0.3 * torch.randn(40, 2, generator=random) + 10.0
    other = 0.3 * torch.randn(40, 2, generator=random) + 10.0
    data = TrainingData(items=torch.cat([far, border, other]), labels=torch.tensor([0] * 80 + [1] * 40), num_classes=2)
    shares = []
    for model in (Smote(SmoteConfig(), data.subject), Adasyn(AdasynConfig(), data.subject)):
        model.fit(data)
        shares.append(float((model.sample(0, 200, 1).items[:, 0] > 5).float().mean()))
    assert 0.3 < shares[0] < 0.7 and shares[1] == 1.0


def scores(model: GeneratorModel) -> tuple[float, float]:
    """Accuracy, on held-out items, of the nearest mean of what a model draws; and the mean distance of what it draws from those items."""
    held = toy(seed=1)
    drawn = [model.sample(label, 80, 4).items for label in range(CLASSES)]
    said = torch.cdist(held.items, torch.stack([items.mean(dim=0) for items in drawn])).argmin(dim=1)
    apart = [kid(held.items[held.labels == label], items) for label, items in enumerate(drawn)]
    return float((said == held.labels).float().mean()), sum(apart) / CLASSES


LEARNERS: list[tuple[type[GeneratorModel], object, int]] = [
    (VaeganCe, VaeganCeConfig(hidden=64, latent_size=8, batch=32, critic_iter=1, lr=2e-3, dec_lr=1e-3, gamma_g=1.0, gamma_d=1.0), 300),
    (TfVaegan, TfVaeganConfig(hidden=64, latent_size=8, batch=32, critic_iter=1, lr=2e-3, dec_lr=1e-3, gamma_g=1.0, gamma_d=1.0), 300),
    (Smote, SmoteConfig(), 0),
    (Adasyn, AdasynConfig(), 0),
]


@pytest.mark.parametrize(("kind", "config", "steps"), LEARNERS)
def test_what_is_drawn_beats_what_shuffled_labels_teach(kind: type[GeneratorModel], config: object, steps: int) -> None:
    data = toy()
    accuracy, distance = scores(trained(kind(config, data.subject, seed=5), data, steps))
    blind, far = scores(trained(kind(config, data.subject, seed=5), shuffled(data), steps))
    assert accuracy > 0.95 and accuracy > blind + 0.2
    between = sum(kid(data.items[data.labels == label], data.items[data.labels != label]) for label in range(CLASSES)) / CLASSES
    floor = sum(floors(data.items[data.labels == label])[0] for label in range(CLASSES)) / CLASSES
    assert distance < 0.25 * far
    assert distance - floor < 0.25 * between
