"""FastGAN: excitation gates, reconstruction reaches the decoders, noise is part of the latent, norms go under a penalty."""

import pytest
import torch
from torch import Tensor

from trainables.generators.bases.subject import Batch, Subject, TrainingData
from trainables.generators.fastgan import Fastgan, FastganConfig, reconstruction_loss
from trainables.generators.networks.fastgan import Excitation, GatedConvolution, SpectralConv2d, channels_at, quarter
from trainables.generators.training.losses import autograd_slope


def model(*, size_px: int = 32, num_classes: int = 1, vectors: Tensor | None = None, **settings: object) -> Fastgan:
    config = FastganConfig(**{"width": 4, "latent_dim": 8, "batch": 4, **settings})  # type: ignore[arg-type]
    return Fastgan(config, Subject(shape=(1, size_px, size_px), num_classes=num_classes, class_vectors=vectors))


def batch(count: int = 4, size_px: int = 32) -> Batch:
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (count, 1, size_px, size_px), dtype=torch.uint8, generator=random)
    return Batch(real=pixels, labels=torch.zeros(count, dtype=torch.int64))


def test_excitation_lets_each_channel_through_as_its_gate_says() -> None:
    torch.manual_seed(0)
    gate = Excitation(6, 3)
    low, high = torch.randn(2, 6, 8, 8), torch.randn(2, 3, 32, 32)
    share = gate(low, high) / high
    # One number for each image and channel, between 0 and 1, that depends on the low map.
    torch.testing.assert_close(share, share[:, :, :1, :1].expand_as(share))
    assert share.min() > 0.0 and share.max() < 1.0
    assert not torch.allclose(share[0, :, 0, 0], share[1, :, 0, 0])
    with torch.no_grad():
        gate.gate[-2].weight.zero_()
    torch.testing.assert_close(gate(low, high), 0.5 * high)


@pytest.mark.parametrize(("size_px", "gated"), [(32, [32]), (64, [64]), (128, [64, 128]), (256, [64, 128, 256])])
def test_high_maps_are_gated_by_those_of_a_sixteenth(size_px: int, gated: list[int]) -> None:
    generator = model(size_px=size_px).generator
    assert list(map(int, generator.gates)) == gated
    for side in gated:
        assert generator.gates[str(side)].gate[1].in_channels == channels_at(max(side // 16, 4), 4)  # type: ignore[index, union-attr]


def test_a_low_map_reaches_the_image_through_its_gate_alone_where_the_way_between_is_cut() -> None:
    network = model().generator.eval()
    with torch.no_grad():
        for norm in (network.levels["8"][0].norm, network.levels["8"][1].norm):  # type: ignore[index]
            norm.weight.zero_()  # everything above 8 px now knows nothing of the latent
            norm.bias.fill_(1.0)
        z = torch.zeros(2, 8 + network.noise_dim)
        z[1, :8] = torch.linspace(-3.0, 3.0, 8)
        labels = torch.zeros(2, dtype=torch.int64)
        different = network(z, labels)
        assert not torch.equal(different[0], different[1])
        network.gates["32"].gate[-2].weight.zero_()  # type: ignore[index, union-attr, operator]
        same = network(z, labels)
    torch.testing.assert_close(same[0], same[1])


def test_reconstruction_alone_trains_the_decoders_and_its_weight_scales_what_reaches_the_trunk() -> None:
    still = model(recon_weight=0.0)
    moved = model(recon_weight=1.0)
    for one in (still, moved):
        before = {name: weight.detach().clone() for name, weight in one.critic.named_parameters()}
        one.generator.train(), one.critic.train()
        told = one.train_step(batch(), 0)
        changed = {name for name, weight in one.critic.named_parameters() if not torch.equal(before[name], weight)}
        decoders = {name for name in before if name.startswith(("whole.", "part."))}
        assert float(told["loss_rec"]) > 0.0
        assert changed == (set(before) if one is moved else set(before) - decoders)


def test_reconstruction_is_of_real_images_as_shown_and_zero_where_it_succeeds() -> None:
    images = torch.rand(3, 1, 32, 32) * 2 - 1
    assert float(reconstruction_loss(images, images)) == 0.0
    # An error of mean zero over every 2 x 2 block counts at the finest of three scales alone.
    error = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16) * 0.3
    assert float(reconstruction_loss(images + error, images)) == pytest.approx(0.1)
    assert float(reconstruction_loss(images + 0.3, images)) == pytest.approx(0.3)


def test_a_part_is_the_same_quarter_of_map_and_image() -> None:
    images = torch.arange(64.0).reshape(1, 1, 8, 8).expand(4, 1, 8, 8)
    corner = torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    parts = quarter(images, corner)
    assert parts.shape == (4, 1, 4, 4)
    for row, (top, left) in enumerate(corner.T.tolist()):
        assert torch.equal(parts[row], images[row, :, 4 * top : 4 * top + 4, 4 * left : 4 * left + 4])


@pytest.mark.parametrize("size_px", [32, 64, 256])
def test_decoders_rebuild_the_whole_and_a_part(size_px: int) -> None:
    critic = model(size_px=size_px).critic.eval()
    images = torch.randn(2, 1, size_px, size_px)
    corner = torch.zeros(2, 2, dtype=torch.int64)
    with torch.no_grad():
        shallow, deep = critic.maps(images)
        whole, part = critic.reconstruct(shallow, deep, corner)
    assert (shallow.shape[2], deep.shape[2]) == (16, 8)
    assert whole.shape == critic.shrunk(images).shape == (2, 1, min(size_px, 128), min(size_px, 128))
    assert part.shape == quarter(images, corner).shape
    assert critic(images, torch.zeros(2, dtype=torch.int64)).shape == (2, 25)


def test_a_gated_convolution_halves_its_channels_by_their_other_half() -> None:
    layer = GatedConvolution(2, 3, noisy=False).eval()
    maps = torch.randn(1, 2, 5, 5)
    value, gate = layer.norm(layer.layer(maps)).chunk(2, dim=1)
    torch.testing.assert_close(layer(maps), value * gate.sigmoid())


def test_noise_is_part_of_the_latent_and_is_not_truncated() -> None:
    fastgan = model()
    assert fastgan.generator.noise_dim == 2 * (8**2 + 32**2)
    z = fastgan.latent(2, torch.Generator().manual_seed(0))
    assert z.shape == (2, 8 + fastgan.generator.noise_dim)
    with torch.no_grad():
        labels = torch.zeros(2, dtype=torch.int64)
        calm = fastgan.ema(z, labels)
        for level in fastgan.ema.levels["32"]:  # type: ignore[union-attr]
            level.strength.fill_(1.0)
        other = torch.cat([z[:, :8], z[:, 8:].flip(1)], dim=1)
        assert not torch.equal(fastgan.ema(z, labels), calm)
        assert not torch.equal(fastgan.ema(z, labels), fastgan.ema(other, labels))
        middle = torch.cat([0.0 * z[:, :8], z[:, 8:]], dim=1)
        torch.testing.assert_close(fastgan.draw(z, labels, 0.0), fastgan.ema(middle, labels))


def test_spectral_norm_comes_to_one_and_passes_gradients() -> None:
    torch.manual_seed(0)
    layer = SpectralConv2d(3, 5, 3)
    for _ in range(50):
        layer(torch.randn(1, 3, 4, 4))
    assert float(torch.linalg.matrix_norm(layer.normed().detach().flatten(1), 2)) == pytest.approx(1.0, abs=1e-4)
    layer.normed().sum().backward()
    assert layer.weight.grad is not None and bool((layer.weight.grad != 0).all())
    before = layer.vector.clone()
    layer.eval()(torch.randn(1, 3, 4, 4))
    assert torch.equal(layer.vector, before)


def test_under_rpgan_the_discriminator_scores_each_image_by_itself_and_the_penalty_reaches_it() -> None:
    fastgan = model(adversarial_loss="rpgan", num_classes=2)
    trunk = [part for name, part in fastgan.critic.named_modules() if not name.startswith(("whole", "part"))]
    assert not any(isinstance(part, torch.nn.BatchNorm2d | SpectralConv2d) for part in trunk)
    images, labels = torch.randn(3, 1, 32, 32), torch.tensor([0, 1, 1])
    slopes = fastgan.slope(images, labels)
    alone = autograd_slope(lambda points: fastgan.critic(points, labels[:1]).mean(dim=1))(images[:1])
    torch.testing.assert_close(slopes[:1], alone)
    slopes.square().sum().backward()
    scored = [weight for name, weight in fastgan.critic.named_parameters() if name.endswith("weight") and not name.startswith(("whole.", "part."))]
    assert all(weight.grad is not None and float(weight.grad.abs().sum()) > 0 for weight in scored)
    fastgan.generator.train(), fastgan.critic.train()
    told = fastgan.train_step(Batch(real=batch().real, labels=torch.tensor([0, 1, 0, 1])), 0)
    assert set(told) == {"loss_d", "loss_g", "loss_rec", "penalty"}


@pytest.mark.parametrize("side", [16, 32])
def test_attention_is_added_to_the_generator_s_maps_of_one_side(side: int) -> None:
    plain, attentive = model(), model(attn_res=side)
    assert list(map(int, attentive.generator.attentions)) == [side]
    extra = {name for name, _ in attentive.generator.named_parameters()} - {name for name, _ in plain.generator.named_parameters()}
    assert extra and all(name.startswith(f"attentions.{side}.") for name in extra)
    before = {name: weight.detach().clone() for name, weight in attentive.generator.named_parameters()}
    attentive.generator.train(), attentive.critic.train()
    for step in range(2):
        attentive.train_step(batch(), step)
    assert all(not torch.equal(before[name], weight) for name, weight in attentive.generator.named_parameters() if "ask.bias" not in name)


def test_a_class_may_be_told_by_any_vector() -> None:
    vectors = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    fastgan = model(num_classes=3, class_mode="conditional", vectors=vectors)
    fastgan.fit(TrainingData(items=batch(6).real, labels=torch.arange(6) % 3, num_classes=3, class_vectors=vectors))
    assert fastgan.generator.entry[0].in_channels == 8 + 5
    images = torch.randn(1, 1, 32, 32).expand(3, 1, 32, 32)
    with torch.no_grad():
        scores = fastgan.critic.eval()(images, torch.arange(3))
    assert len(set(scores[:, 0].tolist())) == 3
    assert not torch.equal(fastgan.sample(0, 2, 1).items, fastgan.sample(1, 2, 1).items)
