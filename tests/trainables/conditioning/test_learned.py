"""The VAE of learned class embeddings: its two losses against closed forms, its scaling, and what it learns."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from trainables.conditioning.learned import ClassVae, embedding_loss, learn, reconstruction_loss, scaled
from trainables.errors import TrialFailure
from trainables.progress import Progress

REAL = torch.tensor([[0.0, 1.0, 0.5], [1.0, 0.0, 0.5]])


def learned(features: Tensor, labels: Tensor, *, real: Tensor = REAL, **more: float) -> Tensor:
    work = learn(features, labels, real, **{"rec_weight": 0.5, "kl_weight": 1.0, "seed": 3, "steps": 40, **more})  # type: ignore[arg-type]
    while True:
        try:
            assert isinstance(next(work), Progress)
        except StopIteration as end:
            return end.value


def features(count: int = 60) -> tuple[Tensor, Tensor]:
    labels = torch.arange(count) % 2
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(0)) + labels[:, None] * 2.0, labels


def test_the_divergence_is_that_of_two_normal_distributions() -> None:
    mean, log_variance, embedding = (torch.randn(5, 4, generator=torch.Generator().manual_seed(i)) for i in range(3))
    closed = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(embedding, torch.ones(()))).sum(1).mean()
    torch.testing.assert_close(embedding_loss(mean, log_variance, embedding), closed)
    assert embedding_loss(mean, torch.zeros(5, 4), mean) == 0.0, "it vanishes where both are the same; the paper's signs give -1 for each dimension"
    # A mean that is off by d in one dimension costs d^2 / 2.
    assert float(embedding_loss(mean + torch.tensor([3.0, 0, 0, 0]), torch.zeros(5, 4), mean)) == pytest.approx(4.5)


def test_the_reconstruction_is_summed_over_features_and_averaged_over_the_batch() -> None:
    x = torch.rand(6, 5, generator=torch.Generator().manual_seed(1))
    assert float(reconstruction_loss(torch.zeros(6, 5), x)) == pytest.approx(5 * math.log(2.0))
    logits = torch.logit(torch.full((2, 1), 0.8))
    expected = -(math.log(0.8) + math.log(0.2)) / 2
    assert float(reconstruction_loss(logits, torch.tensor([[1.0], [0.0]]))) == pytest.approx(expected)


def test_features_are_scaled_by_their_own_ends() -> None:
    x = torch.tensor([[1.0, 7.0, -4.0], [3.0, 7.0, 0.0], [2.0, 7.0, 4.0]])
    assert scaled(x).tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.5], [0.5, 0.0, 1.0]]


def test_widths_are_the_paper_s_where_features_are() -> None:
    vae = ClassVae(2048, 29)
    shapes = [tuple(weight.shape) for name, weight in vae.named_parameters() if name.endswith("weight")]
    assert shapes == [(1024, 2048), (29, 1024), (29, 1024), (1024, 29), (2048, 1024)]


def test_learned_vectors_lie_near_the_real_ones_as_far_as_the_weights_say() -> None:
    x, labels = features()
    near, far = learned(x, labels, kl_weight=10.0, steps=200), learned(x, labels, kl_weight=0.01, rec_weight=2.0, steps=200)
    assert near.shape == REAL.shape and (near - REAL).abs().max() < 0.2
    assert (far - REAL).norm() > 2 * (near - REAL).norm()


def test_equal_seeds_learn_equal_vectors_and_leave_torch_s_state_alone() -> None:
    x, labels = features()
    torch.manual_seed(4)
    before = torch.random.get_rng_state()
    one, two = learned(x, labels), learned(x, labels)
    assert torch.equal(one, two) and not torch.equal(one, learned(x, labels, seed=4))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_vector_is_the_mean_over_its_own_class_alone() -> None:
    x, labels = features()
    # Images of no served class scale the features, and no more.
    more = torch.cat([x, x[:3]]), torch.cat([labels, torch.tensor([2, 2, -1])])
    assert torch.equal(learned(*more), learned(x, labels))
    absent = learned(x, torch.zeros_like(labels))
    assert torch.equal(absent[1], REAL[1]) and not torch.equal(absent[0], REAL[0])


def test_a_number_that_is_not_finite_ends_it_by_name() -> None:
    x, labels = features()
    with pytest.raises(TrialFailure, match="not finite") as caught:
        learned(x, labels, real=REAL * float("nan"))
    assert caught.value.name == "diverged"
