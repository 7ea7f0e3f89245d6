"""The fully connected GAN, DCGAN and LSGAN: what is particular to them."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from trainables.errors import SettingsError
from trainables.generators.bases.subject import Batch, Subject
from trainables.generators.dcgan import Dcgan, DcganConfig
from trainables.generators.gan import Gan, GanConfig
from trainables.generators.lsgan import Lsgan, LsganConfig


def test_the_fully_connected_networks_have_five_layers_each() -> None:
    # At 64 px grey, latent 100, one class: 256, 512, 1024, 2048 units and the mirror of it.
    model = Gan(GanConfig(), Subject(shape=(1, 64, 64)))
    widths = [100, 256, 512, 1024, 2048, 64 * 64]
    for network, expected in ((model.generator, widths), (model.critic, [*widths[:0:-1], 1])):
        layers = [part for part in network.modules() if isinstance(part, nn.Linear)]
        assert [layers[0].in_features, *(layer.out_features for layer in layers)] == expected
    # Weights, and a bias or the two of a batch norm: the generator's hidden layers have the latter.
    generator, critic = (sum(weight.numel() for weight in network.parameters()) for network in (model.generator, model.critic))
    weights = sum(a * b for a, b in pairwise(widths))
    assert generator == weights + 2 * sum(widths[1:-1]) + widths[-1]
    assert critic == weights - 256 * 100 + 256 + sum(widths[1:-1]) + 1


def test_a_fully_connected_layer_for_256_px_is_refused() -> None:
    with pytest.raises(SettingsError, match="128 px"):
        Gan(GanConfig(), Subject(shape=(1, 128, 128)))


@pytest.mark.parametrize(("optimizer", "kind"), [("rmsprop", torch.optim.RMSprop), ("adam", torch.optim.Adam)])
def test_the_optimizer_is_the_one_asked_for(optimizer: str, kind: type[torch.optim.Optimizer]) -> None:
    model = Gan(GanConfig(width=4, optimizer=optimizer), Subject(shape=(1, 16, 16)))  # type: ignore[arg-type]
    assert type(model.optimizer_g) is type(model.optimizer_d) is kind


@pytest.mark.parametrize("size_px", Dcgan.sizes_px)
@pytest.mark.parametrize("loss", ["bce", "rpgan"])
def test_the_dcgan_stacks_grow_with_the_image_up_to_256_px(size_px: int, loss: str) -> None:
    model = Dcgan(DcganConfig(width=2, latent_dim=4, adversarial_loss=loss), Subject(shape=(1, size_px, size_px), num_classes=2))  # type: ignore[arg-type]
    labels = torch.tensor([0, 1])
    with torch.no_grad():
        images = model.generator(torch.randn(2, 4), labels)
        assert images.shape == (2, 1, size_px, size_px)
        assert model.critic(images, labels).shape == (2,)
    layers = [part for part in model.critic.modules() if isinstance(part, nn.Conv2d)]
    assert [layer.out_channels for layer in layers] == [*(2 * 2**stage for stage in range(len(layers) - 1)), 1]
    assert 4 * 2 ** (len(layers) - 1) == size_px
    assert any(isinstance(part, nn.BatchNorm2d) for part in model.critic.modules()) == (loss == "bce")


def step(model: Dcgan) -> dict[str, float]:
    pixels = torch.randint(0, 255, (8, 1, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return {name: float(value) for name, value in model.train_step(Batch(real=pixels, labels=torch.zeros(8, dtype=torch.int64)), 0).items()}


def test_lsgan_is_dcgan_but_for_its_loss() -> None:
    subject = Subject(shape=(3, 64, 64))
    one, other = Lsgan(LsganConfig(), subject), Dcgan(DcganConfig(), subject)
    for network in ("generator", "critic"):
        assert [weight.shape for weight in getattr(one, network).parameters()] == [weight.shape for weight in getattr(other, network).parameters()]
    assert one.loss == "lsgan" and one.mixes_batch


def test_lsgan_s_targets_and_smoothing_reach_its_loss() -> None:
    losses = {}
    for name, settings in {"usual": {}, "pearson": {"targets": "-1,1,0"}, "smooth": {"label_smoothing": 0.1}}.items():
        model = Lsgan(LsganConfig(width=4, latent_dim=4, **settings), Subject(shape=(1, 16, 16)))  # type: ignore[arg-type]
        model.critic = Constant()  # scores of 0.5 for all
        model.optimizer_d = torch.optim.SGD(model.critic.parameters(), lr=0.0)
        losses[name] = step(model)
    assert losses["usual"] == pytest.approx({"loss_d": 0.5 * 0.25 + 0.5 * 0.25, "loss_g": 0.5 * 0.25})
    assert losses["pearson"] == pytest.approx({"loss_d": 0.5 * 0.25 + 0.5 * 2.25, "loss_g": 0.5 * 0.25})
    assert losses["smooth"] == pytest.approx({"loss_d": 0.5 * 0.16 + 0.5 * 0.25, "loss_g": 0.5 * 0.25})


class Constant(nn.Module):
    """Scores every image 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Gives (B,)."""
        return self.value + 0.0 * images.sum(dim=(1, 2, 3))
