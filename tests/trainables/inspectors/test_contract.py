"""What every inspector of the registry must do; a new one is picked up by itself."""

import dataclasses

import pytest
import torch

from spaces.inspectors import INSPECTOR_SPACES, OPEN, inspector_spaces
from trainables.errors import SettingsError
from trainables.inspectors import INSPECTORS
from trainables.inspectors.base import LabelledImages, Shown
from trainables.inspectors.training import build, features, predict, read_config, to_input, train
from trainables.recipe import InspectorPart
from trainables.registry import pick

KINDS = [kind.replace(OPEN, "unet" if kind.startswith("smp:") else "test_resnet") for kind in INSPECTORS]
"""One inspector of each entry; timm keeps small models for tests."""

CLASSIFIERS = [kind for kind in KINDS if pick(INSPECTORS, kind, "inspector").task == "classify"]

SEGMENTER = {"encoder": "tu-test_resnet", "augment": "none"}
"""Their own augmentation makes an epoch fifteen times as long."""

SMALL = {"fcn": {"width": 8}, "segdecnet": {"width": 0.05}, "deeplabv3plus": SEGMENTER, "pan": SEGMENTER, "smp:unet": SEGMENTER}
"""Settings that keep an inspector quick in a test, where its defaults do not."""

LARGE = ("resnet50", "efficientnet_v2_s", "inception_v3")
"""Inspectors of twenty million parameters, which train for seconds even on four images."""
TRAINED = [pytest.param(kind, marks=pytest.mark.slow) if kind in LARGE else kind for kind in KINDS]


def takes(kind: str, size_px: int, channels: int = 1) -> bool:
    chosen = pick(INSPECTORS, kind, "inspector")
    return not chosen.problems(chosen.Config(), size_px=size_px, channels=channels)


def small_px(kind: str) -> int:
    """The smallest size but one that data sets come in, or the first that an inspector takes."""
    return next(size for size in (32, 64, 128, 256) if takes(kind, size))


def part(kind: str, **settings: object) -> InspectorPart:
    return InspectorPart(kind=kind, settings={**SMALL.get(kind, {}), "epochs": 1, "min_steps": 2, "batch": 4, **settings})


def untrained(kind: str, *, seed: int = 0, size_px: int | None = None, channels: int = 1, **settings: object):  # type: ignore[no-untyped-def]
    return build(
        kind, read_config(part(kind, **settings)), size_px=size_px or small_px(kind), channels=channels, num_classes=3, device="cpu", seed=seed
    )


def labelled(count: int = 9, *, kind: str = "fcn", size_px: int = 32, channels: int = 1, seed: int = 0) -> LabelledImages:
    """Makes noise with everything that the task of an inspector asks for; masks cover the upper half of what is defective."""
    task = pick(INSPECTORS, kind, "inspector").task
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, channels, size_px, size_px), dtype=torch.uint8, generator=generator)
    labels = torch.arange(count) % (2 if task == "detect" else 3)
    if task == "classify":
        return LabelledImages(images=images, labels=labels)
    masks = torch.zeros(count, size_px, size_px, dtype=torch.uint8)
    masks[:, : size_px // 2] = (labels if task == "detect" else labels + 1).to(torch.uint8)[:, None, None]
    return LabelledImages(images=images, labels=labels, masks=masks, marked=torch.ones(count, dtype=torch.bool))


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize(("size_px", "channels"), [(16, 1), (32, 3), (64, 1)])
def test_logits_and_features_have_their_shapes(kind: str, size_px: int, channels: int) -> None:
    if not takes(kind, size_px, channels):
        chosen = pick(INSPECTORS, kind, "inspector")
        (text,) = chosen.problems(chosen.Config(), size_px=size_px, channels=channels)
        assert f"does not take images of {size_px} px; the nearest size that works is {small_px(kind)}" in text
        return
    inspector = untrained(kind, size_px=size_px, channels=channels)
    images = labelled(5, size_px=size_px, channels=channels).images
    logits, values = predict(inspector, images)["logits"], features(inspector, images)
    assert logits.shape == (5, 3) and values.shape == (5, inspector.network.head.in_features)
    assert logits.dtype == values.dtype == torch.float32
    with torch.no_grad():
        assert torch.allclose(logits, inspector.network.head(values), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_says_has_a_row_for_each_image(kind: str) -> None:
    """Classifiers keep `logits`, segmenters `maps` and more, detectors `scores` and `maps`, however many images there are."""
    inspector, images = untrained(kind), labelled(5, size_px=small_px(kind)).images
    said, values = predict(inspector, images), features(inspector, images)
    assert set(said) == {"classify": {"logits"}, "segment": {"maps", "logits", "sureness"}, "detect": {"scores", "maps"}}[inspector.network.task]
    assert all(len(value) == 5 for value in said.values())
    assert values.shape[0] == 5 and values.ndim == 2 and values.dtype == torch.float32
    if inspector.network.task == "detect":
        assert said["scores"].shape == (5,) and said["scores"].dtype == torch.float32
    if "maps" in said:
        assert said["maps"].dtype == torch.uint8


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_judged_alike_alone_and_among_others(kind: str) -> None:
    inspector, images = untrained(kind), labelled(5, size_px=small_px(kind)).images
    among, alone = predict(inspector, images), predict(inspector, images[2:3])
    for name, value in among.items():
        # What is kept in bytes may be rounded to the next.
        assert torch.allclose(value[2:3].float(), alone[name].float(), atol=1e-5 if value.is_floating_point() else 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_images_lie_in_memory_in_the_same_order(kind: str) -> None:
    inspector, data = untrained(kind), labelled(8, size_px=small_px(kind))
    seen: list[bool] = []
    first = next(module for module in inspector.network.modules() if isinstance(module, torch.nn.Conv2d))
    first.register_forward_pre_hook(lambda module, given: seen.append(given[0].is_contiguous(memory_format=inspector.layout)))
    predict(inspector, data.images)
    assert seen and all(seen)
    assert all(weight.is_contiguous(memory_format=inspector.layout) for weight in inspector.network.parameters() if weight.ndim == 4)
    assert (inspector.layout == torch.contiguous_format) == (inspector.network.task == "segment")


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter(kind: str) -> None:
    inspector, data = untrained(kind), labelled(8, kind=kind, size_px=small_px(kind))
    network = inspector.network.train()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("weight") and not parameter.any():
                # timm's residual branches begin at nothing, and learn from the second step on.
                parameter.fill_(1.0)
    planes = None if data.masks is None or data.marked is None else network.planes(data.masks, data.labels, data.marked)
    shown = Shown(images=to_input(data.images, "cpu"), labels=data.labels, planes=planes, marked=data.marked, weights=None)
    network.loss(network(shown.images), shown, 0.5).backward()
    # What a bias adds in front of a batch norm, the norm takes away, where the rectifier between lets all pass: its gradient is rounding alone.
    idle = [
        f"{block}.conv.bias"
        for block, module in network.named_modules()
        if isinstance(getattr(module, "conv", None), torch.nn.Conv2d) and isinstance(getattr(module, "bn", None), torch.nn.BatchNorm2d)
    ]
    still = [name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.abs().sum() > 0]
    assert [name for name in still if name not in idle] == []
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("kind", [*TRAINED, "fcn in bf16"])
def test_equal_seeds_train_to_equal_bits_and_leave_random_state_alone(kind: str) -> None:
    kind, _, precision = kind.partition(" in ")
    size_px = small_px(kind)
    outside = torch.random.get_rng_state()
    trained = []
    for seed in (1, 1, 2):
        inspector = untrained(kind, seed=seed)
        real, synthetic = labelled(kind=kind, size_px=size_px), labelled(5, kind=kind, size_px=size_px, seed=1)
        last = list(train(inspector, real=real, synthetic=synthetic, seed=seed, precision=precision or "fp32"))[-1]
        assert last.stage == "inspector" and last.metrics["share"] == 1.0 and not inspector.network.training
        trained.append(predict(inspector, labelled(4, size_px=size_px, seed=2).images))
    assert all(torch.equal(value, trained[1][name]) for name, value in trained[0].items())
    # Hardly trained, two segmenters may find alike that there is nothing, but not alike surely.
    assert not all(torch.equal(value, trained[2][name]) for name, value in trained[0].items())
    assert torch.equal(torch.random.get_rng_state(), outside)


@pytest.mark.parametrize("kind", KINDS)
def test_config_and_space_agree_on_names_and_defaults(kind: str) -> None:
    config = pick(INSPECTORS, kind, "inspector").Config()
    assert {name: domain.default for name, domain in inspector_spaces(KINDS)[kind].items()} == dataclasses.asdict(config)


def test_registry_and_spaces_list_the_same_inspectors() -> None:
    assert set(INSPECTORS) == set(INSPECTOR_SPACES)


@pytest.mark.parametrize("kind", KINDS)
def test_every_choice_of_the_space_is_a_setting(kind: str) -> None:
    for name, domain in inspector_spaces(KINDS)[kind].items():
        for value in domain.grid(3):
            assert getattr(read_config(InspectorPart(kind=kind, settings={name: value})), name) == value


def test_paper_values() -> None:
    """`search_space.csv`, scope inspector: SDG-GAN's optimiser, epochs and batch; Wang et al.'s widths."""
    config = read_config(InspectorPart(kind="fcn"))
    assert (config.lr, config.epochs, config.batch, config.weight_decay) == (1e-4, 50, 32, 1e-2)
    assert config.width == 128  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "count"),
    [("resnet18", 11_181_642), ("mobilenet_v2", 2_236_682), ("fcn", 49 * 3 * 128 + 25 * 128 * 256 + 9 * 256 * 128 + 2 * 512 + 1290)],
)
def test_parameter_counts_are_the_published_networks(kind: str, count: int) -> None:
    """The torchvision networks with ten classes; the FCN counted by hand: three convolutions, three batch norms, one linear layer."""
    config = read_config(InspectorPart(kind=kind))
    network = build(kind, config, size_px=64, channels=3, num_classes=10, device="cpu", seed=0).network
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("resnet81", {}, "resnet18"),
        ("resnet18", {"learning_rate": 1.0}, "no such setting"),
        ("resnet18", {"epochs": 0}, "epochs: 0 is not between"),
        ("resnet18", {"batch": 1, "lr": -1.0}, "lr: -1.0 is not between .*batch: 1 is not between"),
        ("fcn", {"width": 2}, "width: 2"),
        ("fcn", {"augment": "flip"}, "did you mean flips"),
        ("fcn", {"lr": "fast"}, "inspector.fcn.lr: 'fast' is not a number"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(kind: str, settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_config(InspectorPart(kind=kind, settings=settings))
