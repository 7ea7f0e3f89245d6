"""What the image-to-image families share: padding, mirroring, domains, the schedule."""

import pytest
import torch
from torch.nn import functional

from trainables.errors import SettingsError
from trainables.generators.pe_gan import PeGan, PeGanConfig
from trainables.generators.stage import resolve
from trainables.generators.subject import Subject
from trainables.generators.translators import Translator, mirror, reflect, with_background
from trainables.recipe import GeneratorPart


def test_mirrored_images_are_one_of_four() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    turned = mirror(image.expand(200, -1, -1, -1), torch.Generator().manual_seed(0))
    four = [image, image.flip(3), image.flip(2), image.flip(2, 3)]
    shares = [sum(bool(torch.equal(one, option[0])) for one in turned) / 200 for option in four]
    assert sum(shares) == 1.0
    assert min(shares) > 0.15


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


def test_a_linear_decay_reaches_nothing_at_its_horizon_and_no_mark_lies_beyond() -> None:
    settings = {"lr_decay": "linear", "horizon_kimg": 0.016, "batch": 4, "base_width": 8, "n_res_blocks": 1}
    part = GeneratorPart(family="pe_gan", settings=settings, kimg=0.016)
    family, config = resolve(part)
    model = family(config, Subject(shape=(1, 32, 32), num_classes=3))
    rates = []
    for step in range(6):
        model.schedule(step)
        rates.append([group["lr"] / config.lr for group in (*model.optimizer_g.param_groups, *model.optimizer_d.param_groups)])
    assert rates == [pytest.approx([rate] * 2) for rate in (1.0, 1.0, 1.0, 0.5, 0.0, 0.0)]
    with pytest.raises(SettingsError, match="beyond the learning rate's horizon"):
        resolve(GeneratorPart(family="pe_gan", settings=settings, kimg=0.02))
    resolve(GeneratorPart(family="pe_gan", settings={**settings, "lr_decay": "none"}, kimg=0.02))


def test_without_a_decay_the_rate_stays() -> None:
    model = PeGan(PeGanConfig(base_width=8, n_res_blocks=1, horizon_kimg=0.016), Subject(shape=(1, 32, 32), num_classes=3))
    model.schedule(1000)
    assert model.optimizer_g.param_groups[0]["lr"] == 1e-4
