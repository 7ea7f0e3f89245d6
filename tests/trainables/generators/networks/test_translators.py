"""Networks of the image-to-image families: padding, and the domains that they are told."""

import pytest
import torch
from torch.nn import functional

from trainables.generators.bases.subject import Subject
from trainables.generators.networks.translators import Translator, reflect, with_background


@pytest.mark.parametrize("margin", [1, 3])
def test_reflection_is_torch_s(margin: int) -> None:
    maps = torch.randn(2, 3, 8, 8, dtype=torch.float64).requires_grad_(True)
    ours, theirs = reflect(maps, margin), functional.pad(maps, [margin] * 4, mode="reflect")
    assert torch.equal(ours, theirs)
    weights = torch.randn_like(ours)
    one, other = (torch.autograd.grad((out * weights).sum(), maps)[0] for out in (ours, theirs))
    torch.testing.assert_close(one, other)


def test_the_background_is_one_domain_more_unless_it_is_a_class() -> None:
    three = Subject(shape=(1, 32, 32), num_classes=3)
    assert torch.equal(with_background(three).vectors(), torch.eye(4))
    assert with_background(three).background_label == 3
    among = Subject(shape=(1, 32, 32), num_classes=3, background_label=1)
    assert with_background(among) is among


def test_the_background_s_vector_shares_no_axis_with_a_class() -> None:
    told = torch.tensor([[3.0, 4.0], [0.0, 5.0]])
    vectors = with_background(Subject(shape=(1, 32, 32), num_classes=2, class_vectors=told)).vectors()
    torch.testing.assert_close(vectors, torch.tensor([[0.6, 0.8, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))


def test_the_domain_s_planes_survive_the_norms() -> None:
    translator = Translator(width=8, blocks=1, side=4, channels=1, domains=Subject(shape=(1, 32, 32), num_classes=2))
    images = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        one, other = (translator(images, torch.tensor([domain])) for domain in (0, 1))
    assert float((one - other).abs().mean()) > 1e-3
