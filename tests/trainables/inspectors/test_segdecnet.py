"""SegDecNet by numbers: its size, norm and pools, what its loss weighs, where its gradient ends, and what settings it takes."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
import torch

from spaces.inspectors import INSPECTOR_SPACES
from trainables.checkpoints import state_from_bytes, state_to_bytes
from trainables.errors import DatasetError, SettingsError
from trainables.inspectors.base import LabelledImages, Shown
from trainables.inspectors.schedule import Schedule
from trainables.inspectors.segdecnet import PUBLISHED, STEEL_EPOCHS, FeatureNorm, Found, SegDecNet, SegDecNetConfig
from trainables.inspectors.training import Checkpoint, Inspector, build, predict, train
from trainables.settings import from_plain


def untrained(*, size_px: int = 64, channels: int = 1, **settings: object) -> Inspector:
    config = from_plain(SegDecNetConfig, {"width": 0.1, "dilate_px": 1, "epochs": 1, "min_steps": 2, **settings})
    return build("segdecnet", config, size_px=size_px, channels=channels, num_classes=1, device="cpu", seed=0)


def network(**settings: object) -> SegDecNet:
    made = untrained(**settings).network  # type: ignore[arg-type]
    assert isinstance(made, SegDecNet)
    return made


def blots(count: int = 8, *, size_px: int = 32, seed: int = 0) -> LabelledImages:
    """Noise; every other image has a dark square, and the mask of it."""
    rng = np.random.default_rng(seed)
    images = rng.normal(140, 20, (count, size_px, size_px))
    masks = np.zeros((count, size_px, size_px), dtype=np.uint8)
    for k in range(1, count, 2):
        top, left = rng.integers(0, size_px - 10, 2)
        masks[k, top : top + 10, left : left + 10] = 1
    images -= 70 * masks
    labels = torch.arange(count) % 2
    pixels = torch.from_numpy(images.clip(0, 255).astype(np.uint8))[:, None]
    return LabelledImages(images=pixels, labels=labels, masks=torch.from_numpy(masks), marked=torch.ones(count, dtype=torch.bool))


def shown(labels: list[int], planes: torch.Tensor | None = None, weights: list[float] | None = None) -> Shown:
    images = torch.zeros(len(labels), 1, 16, 16)
    given = None if weights is None else torch.tensor(weights)
    return Shown(images=images, labels=torch.tensor(labels), planes=planes, marked=None, weights=given)


def test_it_has_the_published_number_of_parameters() -> None:
    """15.64 million for one grey channel, and the same for three to that precision, at any size: 14.75 million are in the 15 x 15 convolution."""
    volume = 25 * 32 + 25 * 32 * 64 + 6 * 25 * 64 * 64 + 225 * 64 * 1024 + 2 * (32 + 7 * 64 + 1024)
    decision = 25 * (1025 * 8 + 8 * 16 + 16 * 32) + 2 * (8 + 16 + 32) + 67
    for channels, more in ((1, 0), (3, 2 * 25 * 32)):
        with torch.device("meta"):
            made = SegDecNet(SegDecNetConfig(), size_px=256, channels=channels)
        count = sum(parameter.numel() for parameter in made.parameters())
        assert count == volume + 1024 + 1 + decision + more
        assert round(count / 1e6, 2) == 15.64
    assert made.volume[-1][0].weight.numel() == 14_745_600


@pytest.mark.parametrize(
    ("height", "width", "decided"),
    [(232, 640, [(14, 40), (7, 20), (3, 10)]), (128, 256, [(8, 16), (4, 8), (4, 8)]), (64, 64, [(4, 4)] * 3), (16, 24, [(2, 3)] * 3)],
)
def test_sides_need_not_be_equal_and_published_ones_are_pooled_three_times(height: int, width: int, decided: list[tuple[int, int]]) -> None:
    made, sides = network(), []
    for block in made.extractor:
        block.register_forward_hook(lambda _, given, __: sides.append(given[0].shape[2:]))
    with torch.no_grad():
        said = made(torch.rand(2, 1, height, width))
    assert said.maps.shape == (2, 1, height // 8, width // 8) and said.decision.shape == (2,)
    assert [tuple(side) for side in sides] == decided


def test_it_says_logits_and_maps_in_bytes() -> None:
    logits = torch.tensor([-200.0, 0.0, math.log(3.0), 200.0]).view(1, 1, 2, 2)
    said = network().predictions(Found(maps=logits, decision=torch.tensor([40.0])))
    assert said["scores"].tolist() == [40.0]
    assert said["maps"].dtype == torch.uint8 and said["maps"].tolist() == [[[0, 128], [191, 255]]]


@pytest.mark.parametrize(("kind", "divisor"), [("sqrt_std", math.sqrt(math.sqrt(5.0) + 1e-3)), ("std", math.sqrt(5.0) + 1e-3)])
def test_features_are_divided_by_the_root_of_their_deviation_or_by_itself(kind: str, divisor: float) -> None:
    norm = FeatureNorm(1, kind)  # type: ignore[arg-type]
    with torch.no_grad():
        norm.scale.fill_(2.0)
        norm.shift.fill_(0.5)  # type: ignore[union-attr]
    found = norm(torch.tensor([0.0, 2.0, 4.0, 6.0]).view(1, 1, 2, 2)).flatten().tolist()
    assert found == pytest.approx([0.5 + 2.0 * value / divisor for value in (-3.0, -1.0, 1.0, 3.0)], rel=1e-5)


def test_a_flat_channel_has_finite_gradients() -> None:
    x = torch.full((1, 1, 4, 4), 0.7, requires_grad=True)
    (FeatureNorm(1, "sqrt_std")(x) * torch.arange(16.0).view(1, 1, 4, 4)).sum().backward()
    assert x.grad is not None and bool(x.grad.isfinite().all())


def decision_gradients(made: SegDecNet) -> dict[str, float]:
    """Gives how much the decision alone moves each part."""
    data = blots(2, size_px=64)
    made.zero_grad()
    made(data.images / 127.5 - 1.0).decision.sum().backward()
    parts = {name: [p.grad for p in getattr(made, name).parameters()] for name in ("volume", "segmentation", "extractor", "head")}
    return {name: sum(0.0 if grad is None else float(grad.abs().sum()) for grad in grads) for name, grads in parts.items()}


@pytest.mark.parametrize(
    ("settings", "stops"),
    [({}, True), ({"gradient_stop": False}, False), ({"pixel_labels": 0.0}, False), ({"pixel_labels": 0.5}, True)],
)
def test_the_decision_leaves_volume_and_map_alone_where_there_are_pixel_labels(settings: dict[str, object], stops: bool) -> None:
    made, data = network(**settings), blots()
    assert data.masks is not None and data.marked is not None
    free = made(data.images / 127.5 - 1.0)
    made.planes(data.masks, data.labels, data.marked)
    assert torch.equal(made(data.images / 127.5 - 1.0).decision, free.decision)
    moved = decision_gradients(made)
    assert moved["extractor"] > 0 and moved["head"] > 0
    assert (moved["volume"] == 0.0 and moved["segmentation"] == 0.0) if stops else (moved["volume"] > 0 and moved["segmentation"] > 0)


def test_every_way_from_the_decision_is_stopped() -> None:
    """The decision reads the volume, and the map three times: beside the volume, its largest value and its mean."""
    made = network()
    made.stops_gradient = True
    with torch.no_grad():
        made.head.weight[:, :64] = 0.0
    assert decision_gradients(made)["segmentation"] == 0.0
    made.stops_gradient = False
    assert decision_gradients(made)["segmentation"] > 0.0


def flat_planes(values: list[tuple[float, float]]) -> torch.Tensor:
    """Makes planes that are the same all over: mask and weight of each image."""
    return torch.tensor(values)[:, :, None, None].expand(-1, -1, 16, 16)


@pytest.mark.parametrize(("share", "weights"), [(0.0, (1.0, 0.0)), (0.25, (0.75, 0.25)), (1.0, (0.0, 1.0))])
def test_the_weight_moves_from_segmentation_to_decision(share: float, weights: tuple[float, float]) -> None:
    """One good image whose map says 0 everywhere, and one defective one whose mask and map are sure of each other; weights 1 and 4."""
    said = Found(maps=torch.tensor([0.0, 2.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2), decision=torch.tensor([-1.0, 3.0]))
    batch = shown([0, 1], flat_planes([(0.0, 1.0), (1.0, 4.0)]))
    segmentation = [math.log(2.0), 4.0 * math.log1p(math.exp(-2.0))]
    decision = [math.log1p(math.exp(-1.0)), math.log1p(math.exp(-3.0))]
    made = network(delta_cls=0.1)
    expected = weights[0] * sum(segmentation) / 2 + 0.1 * weights[1] * sum(decision) / 2
    assert float(made.loss(said, batch, share)) == pytest.approx(expected, rel=1e-5)
    still = network(delta_cls=0.1, dynamic_balance=False)
    assert float(still.loss(said, batch, share)) == pytest.approx(sum(segmentation) / 2 + 0.1 * sum(decision) / 2, rel=1e-5)
    weighted = dataclasses.replace(batch, weights=torch.tensor([1.0, 3.0]))
    each = [weights[0] * a + 0.1 * weights[1] * b for a, b in zip(segmentation, decision, strict=True)]
    assert float(made.loss(said, weighted, share)) == pytest.approx((each[0] + 3.0 * each[1]) / 4.0, rel=1e-5)


def test_images_without_pixel_labels_bring_the_decision_alone() -> None:
    maps = torch.full((2, 1, 2, 2), 5.0)
    said, made = Found(maps=maps, decision=torch.tensor([1.0, 1.0])), network()
    for batch in (shown([1, 1], flat_planes([(0.0, 0.0), (0.0, 0.0)])), shown([1, 1])):
        assert float(made.loss(said, batch, 0.0)) == 0.0
        assert float(made.loss(said, batch, 0.5)) == pytest.approx(0.5 * math.log1p(math.exp(-1.0)), rel=1e-5)
    mixed = made.loss(said._replace(maps=maps.requires_grad_()), shown([1, 0], flat_planes([(0.0, 0.0), (0.0, 1.0)])), 0.5)
    (gradient,) = torch.autograd.grad(mixed, maps)
    assert bool((gradient[0] == 0).all()) and bool((gradient[1] > 0).all())


def test_planes_hold_what_is_known() -> None:
    data = blots()
    assert data.masks is not None
    marked = torch.tensor([True, True, False, False, True, True, True, True])
    targets = network(weight_max=5.0).planes(data.masks, data.labels, marked)
    assert targets.shape == (8, 2, 32, 32)
    for row in (0, 2, 4, 6):  # Good images are marked whatever is said of them.
        assert bool((targets[row, 0] == 0).all()) and bool((targets[row, 1] == 1).all())
    assert bool((targets[3] == 0).all())
    assert torch.equal(targets[1, 0], data.masks[1].half())
    assert float(targets[1, 1].max()) == 5.0 and bool((targets[1, 1][data.masks[1] == 0] == 1).all())


def test_an_epoch_has_a_good_image_for_each_defective_one_and_uses_all_equally_often() -> None:
    labels = np.array([0] * 7 + [1] * 3)
    schedule = Schedule(labels, SegDecNetConfig(epochs=7, min_steps=0), seed=0, real=10)
    assert schedule.steps == 7 * 6
    drawn = [int(schedule.batch(step)) for step in range(schedule.steps)]
    for epoch in range(7):
        assert labels[drawn[6 * epoch : 6 * epoch + 6]].sum() == 3
    assert Counter(drawn) == dict.fromkeys(range(7), 3) | dict.fromkeys(range(7, 10), 7)
    assert {schedule.lr(step) for step in range(schedule.steps)} == {0.05}


def test_it_is_optimised_by_plain_descent() -> None:
    made = network(lr=0.5)
    optimizer = made.optimizer()
    made.head.weight.grad = torch.ones_like(made.head.weight)
    for _ in range(2):
        before = made.head.weight.detach().clone()
        optimizer.step()
        assert torch.allclose(made.head.weight, before - 0.5)


def test_a_resumed_training_ends_where_an_undisturbed_one_ends() -> None:
    kept: list[bytes] = []

    def keep(checkpoint: Checkpoint) -> None:
        kept.append(state_to_bytes(dataclasses.asdict(checkpoint)))

    ends = []
    for resume in (False, True):
        checkpoint = Checkpoint(**state_from_bytes(kept[2])) if resume else None
        inspector = untrained(size_px=32, min_steps=6, augment="classical")
        list(train(inspector, real=blots(), seed=3, resume=checkpoint, save=None if resume else keep, save_every_s=0.0))
        ends.append(predict(inspector, blots(seed=1).images))
    assert len(kept) >= 5
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ("scores", "maps"))


def test_it_finds_dark_squares() -> None:
    inspector, held_out = untrained(size_px=32, width=0.2, lr=0.3, batch=4, epochs=40, weight_max=2.0), blots(32, seed=1)
    list(train(inspector, real=blots(32), seed=0))
    said = predict(inspector, held_out.images)
    good, bad = said["scores"][0::2], said["scores"][1::2]
    assert float((bad[:, None] > good[None, :]).float().mean()) > 0.95
    assert held_out.masks is not None
    inside = torch.nn.functional.avg_pool2d(held_out.masks[1::2].float(), 8) > 0.5
    assert float(said["maps"][1::2][inside].float().mean()) > float(said["maps"][1::2][~inside].float().mean()) + 30


@pytest.mark.parametrize(("size_px", "nearest"), [(16, None), (64, None), (232, None), (256, None), (8, 16), (30, 32), (100, 96)])
def test_sizes_that_the_map_does_not_divide_are_refused(size_px: int, nearest: int | None) -> None:
    found = SegDecNet.problems(SegDecNetConfig(), size_px=size_px, channels=1)
    assert found == [] if nearest is None else (len(found) == 1 and f"the nearest size that works is {nearest}" in found[0])


def test_only_good_and_defective_are_known() -> None:
    data = blots()
    with pytest.raises(DatasetError, match="labels from 0 to 2; a detector knows 0, good, and 1, defective"):
        list(train(untrained(size_px=32), real=dataclasses.replace(data, labels=2 * data.labels), seed=0))


def test_published_settings_are_settings_and_lie_in_the_space() -> None:
    """systems.md 1.1; the defaults are DAGM's."""
    for settings in PUBLISHED.values():
        config = from_plain(SegDecNetConfig, settings)
        assert (config.gradient_stop, config.dynamic_balance, config.weight_decay, config.pixel_labels) == (True, True, 0.0, 1.0)
        for name, value in settings.items():
            assert INSPECTOR_SPACES["segdecnet"][name].check(value) == value
    assert from_plain(SegDecNetConfig, PUBLISHED["dagm"]) == SegDecNetConfig()
    assert PUBLISHED["steel"]["epochs"] == STEEL_EPOCHS[3000]


def test_settings_out_of_range_are_refused_together() -> None:
    with pytest.raises(SettingsError, match=r"batch: 0 is not between 1 .*pixel_labels: 1.5 is not between .*dilate_px: 4 is even.*take 3 or 5"):
        SegDecNetConfig(batch=0, pixel_labels=1.5, dilate_px=4)
