"""The networks of the inspectors: their parameters against published numbers, the sizes they take, and how they draw."""

import pytest
import torch
from torch import nn
from torchvision.ops import StochasticDepth

from trainables.errors import SettingsError
from trainables.inspectors import INSPECTORS
from trainables.inspectors.seeded import SeededNetwork
from trainables.inspectors.timm_networks import timm_kind
from trainables.registry import pick


def network(kind: str, *, size_px: int = 256, channels: int = 1, num_classes: int = 5, **settings: object) -> nn.Module:
    """Builds an inspector of shapes alone."""
    chosen = pick(INSPECTORS, kind, "inspector")
    with torch.device("meta"):
        made: nn.Module = chosen(chosen.Config(**settings), size_px=size_px, channels=channels, num_classes=num_classes)
    return made


def count(of: nn.Module, *, statistics: bool = False) -> int:
    """Counts what is learned, and with `statistics` what batch norms keep too."""
    kept = [value for name, value in of.named_buffers() if "running_" in name] if statistics else []
    return sum(value.numel() for value in [*of.parameters(), *kept])


@pytest.mark.parametrize(
    ("kind", "expected"), [("resnet50", 23_508_032), ("efficientnet_v2_s", 20_177_488), ("inception_v3", 21_785_568), ("timm:resnet10t", 4_922_488)]
)
def test_trunks_are_the_libraries_networks(kind: str, expected: int) -> None:
    """Colour images; without the last layer, as torchvision and timm publish them (less 1000 classes, and Inception's auxiliary classifier)."""
    made = network(kind, channels=3)
    assert count(made) - count(made.get_submodule("head")) == expected


# Keras counts a convolution's bias where torch has none (26,560 in ResNet-50), and its Inception has no scale in batch norms (17,216).
@pytest.mark.parametrize(
    ("kind", "expected"), [("mobilenet_v2", 2_627_397), ("resnet50", 24_153_733 - 26_560), ("inception_v3", 22_368_805 + 17_216)]
)
def test_the_fully_connected_head_gives_sdg_gans_parameters(kind: str, expected: int) -> None:
    """SDG-GAN, Table 10: five classes, three channels, statistics of batch norm counted in."""
    assert count(network(kind, channels=3, head="fc"), statistics=True) == expected


def test_efficientnet_has_nearly_sdg_gans_parameters() -> None:
    assert count(network("efficientnet_v2_s", channels=3, head="fc"), statistics=True) == pytest.approx(20_700_773, rel=0.015)


@pytest.mark.parametrize("size_px", [32, 64, 128, 256])
@pytest.mark.parametrize(("kind", "expected"), [("inception_cnn", 3_576_389), ("baseline_cnn", 5_120_293), ("cnn_sca", 512_696)])
def test_sdg_gans_own_networks_have_its_parameters_at_every_size(kind: str, expected: int, size_px: int) -> None:
    """Section IV-D and Table 10: 3.58 and 5.12 million; 0.52 million for the network with attention, within 5 %."""
    assert count(network(kind, size_px=size_px)) == expected
    if kind == "cnn_sca":
        assert expected == pytest.approx(0.52e6, rel=0.05)


@pytest.mark.parametrize(("size_px", "pools", "left"), [(16, 3, 2), (64, 5, 2), (200, 6, 3), (256, 7, 2), (512, 7, 4)])
@pytest.mark.parametrize("kind", ["inception_cnn", "baseline_cnn"])
def test_seven_pools_act_while_two_pixels_are_left(kind: str, size_px: int, pools: int, left: int) -> None:
    made = network(kind, size_px=size_px)
    assert sum(isinstance(layer, nn.MaxPool2d) and layer.stride == 2 for layer in made.get_submodule("trunk").children()) == pools
    assert made.get_submodule("trunk")(torch.empty(2, 1, size_px, size_px, device="meta")).shape == (2, 512, left, left)


@pytest.mark.parametrize("kind", ["resnet18", "mobilenet_v2", "timm:test_resnet"])
def test_features_are_what_enters_the_last_layer(kind: str) -> None:
    chosen = pick(INSPECTORS, kind, "inspector")
    made = chosen(chosen.Config(head="fc"), size_px=32, channels=1, num_classes=3).eval()
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        values = made.features(x)
        assert values.shape == (2, 64) and values.min() == 0.0, "after the last ReLU"
        torch.testing.assert_close(made.head(values), made(x))
    assert made.dropout.rate == 0.0


def test_inception_takes_what_it_says() -> None:
    chosen = pick(INSPECTORS, "inception_v3", "inspector")
    assert chosen.least_px == 39
    for size_px in (39, 74, 75):
        assert network("inception_v3", size_px=size_px)(torch.empty(2, 1, size_px, size_px, device="meta")).shape == (2, 5)
    with pytest.raises(RuntimeError):
        network("inception_v3", size_px=38)(torch.empty(2, 1, 38, 38, device="meta"))
    (text,) = chosen.problems(chosen.Config(), size_px=32, channels=1)
    assert text == "does not take images of 32 px; the nearest size that works is 64 (data.size_px)"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:resnet10x", r"timm .* has no model 'resnet10x'; did you mean timm:resnet10t"),
        ("timm:<name>", "has no model '<name>'"),
        ("timm:", "has no model ''"),
        ("timm:resnet18.a1_in1k", "'a1_in1k' names weights, which are not downloaded; take timm:resnet18"),
        ("timmy", "no inspector is called 'timmy'.*timm:<name>"),
    ],
)
def test_models_that_timm_does_not_have_are_refused(name: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        pick(INSPECTORS, name, "inspector")


def test_timm_models_say_which_sizes_they_take() -> None:
    convnext, vit = timm_kind("test_convnext"), timm_kind("test_vit")
    assert convnext is timm_kind("test_convnext")
    (text,) = convnext.problems(convnext.Config(), size_px=16, channels=1)
    assert text == "does not take images of 16 px; the nearest size that works is 32 (data.size_px)"
    assert vit.problems(vit.Config(), size_px=32, channels=3) == [], "transformers are built for the size"
    made = vit(vit.Config(), size_px=32, channels=1, num_classes=3).eval()
    assert made(torch.zeros(2, 1, 32, 32)).shape == (2, 3)


class TestSeededNetwork:
    def made(self) -> tuple[SeededNetwork, torch.Generator]:
        wrapped = SeededNetwork(nn.Sequential(nn.Dropout(0.5), StochasticDepth(0.5, "row"))).train()
        wrapped.generator = torch.Generator()
        return wrapped, wrapped.generator

    def test_draws_follow_the_seed_of_the_step_and_leave_the_global_generator_alone(self) -> None:
        wrapped, generator = self.made()
        x, outside, drawn = torch.ones(16, 8), torch.random.get_rng_state(), []
        for seed in (1, 2, 1):
            generator.manual_seed(seed)
            torch.rand(seed, generator=generator)  # However much was drawn from it before, for augmentation.
            drawn.append(wrapped(x))
        assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])
        assert torch.equal(torch.random.get_rng_state(), outside)

    def test_draws_are_not_those_of_the_steps_own_generator(self) -> None:
        wrapped, generator = self.made()
        generator.manual_seed(3)
        kept = wrapped.network[0](torch.ones(64, 8)) > 0  # type: ignore[index]
        with torch.random.fork_rng():
            torch.manual_seed(3)
            alike = nn.Dropout(0.5)(torch.ones(64, 8)) > 0
        assert not torch.equal(wrapped(torch.ones(64, 8)) > 0, alike) and kept.any()

    def test_nothing_is_dropped_in_evaluation(self) -> None:
        wrapped, _ = self.made()
        assert torch.equal(wrapped.eval()(torch.ones(4, 4)), torch.ones(4, 4))


@pytest.mark.parametrize("kind", ["efficientnet_v2_s", "timm:swin_tiny_patch4_window7_224"])
def test_networks_that_drop_paths_run_seeded(kind: str) -> None:
    trunk = network(kind, size_px=64).get_submodule("trunk")
    assert isinstance(trunk, SeededNetwork)
    assert any(type(module).__name__ in ("StochasticDepth", "DropPath") for module in trunk.modules())
