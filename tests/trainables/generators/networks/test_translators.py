"""Networks of the image-to-image families: padding, and the domains that they are told."""

from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainables.generators.bases.subject import Subject
from trainables.generators.networks.translators import Norm, Translator, reflect, with_background


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


def test_layer_norm_keeps_how_bright_a_scene_is_and_instance_norm_does_not() -> None:
    torch.manual_seed(0)
    scene = torch.randn(1, 1, 32, 32) * 0.1
    changes = {}
    for norm in get_args(Norm):
        translator = Translator(width=8, blocks=1, side=3, channels=1, reflects=True, norm=norm, affine=False)
        with torch.no_grad():
            changes[norm] = float((translator(scene + 0.5) - translator(scene)).abs().mean())
    assert changes["instance"] < 1e-4 < 1e-2 < changes["layer"]


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_maps_lie_as_the_weights_do_whatever_layout_images_come_in(layout: torch.memory_format) -> None:
    translator = Translator(width=8, blocks=1, side=3, channels=1, reflects=True).to(memory_format=layout)  # type: ignore[call-overload]
    seen: list[bool] = []
    for part in translator.layers:
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d) and part.out_channels > 1:
            part.register_forward_hook(lambda module, inputs, out: seen.append(out.is_contiguous(memory_format=layout)))
    for given in (torch.channels_last, torch.contiguous_format):
        translator(torch.zeros(2, 1, 32, 32).clone(memory_format=given))
    assert seen and all(seen)
