"""The segmenters: what they say of pixels, that they learn, and what they refuse. What every inspector must do is in the contract tests."""

from pathlib import Path
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch import Tensor

from trainables.datasets.settings import SIZES_PX
from trainables.errors import DatasetError, SettingsError
from trainables.inspectors.base import LabelledImages, Shown
from trainables.inspectors.pixel_losses import UNKNOWN, bce, dice, focal, tversky, wanted
from trainables.inspectors.segmenters import PAN, DeepLabV3Plus, Segmenter, SegmenterConfig, refusal, smp_kind
from trainables.inspectors.stage import Inspected, inspect, load_inspector, read_predictions
from trainables.inspectors.training import Checkpoint, Inspector, build, features, predict, read_config, train
from trainables.recipe import InspectorPart
from trainables.scores.segmentation import iou, pixel_confusions
from trainables.store import Store

TINY = "tu-test_resnet"
"""One of the small models that timm keeps for tests."""

KINDS = (("deeplabv3plus", 64), ("pan", 128), ("smp:unet", 32))
"""Inspectors with the smallest side that they take, but for DeepLabV3+, which takes 32 px too."""


def small(kind: str = "deeplabv3plus", *, size_px: int = 64, channels: int = 1, num_classes: int = 2, seed: int = 0, **settings: object) -> Inspector:
    own = {"encoder": TINY, "epochs": 1, "min_steps": 2, "batch": 4, "augment": "none", **settings}
    config = read_config(InspectorPart(kind=kind, settings=own))
    return build(kind, config, size_px=size_px, channels=channels, num_classes=num_classes, device="cpu", seed=seed)


def blots(count: int, *, size_px: int = 64, channels: int = 1, seed: int = 0) -> LabelledImages:
    """Noise with a bright square of class 1 or a dark one of class 2 in it, and masks of these."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(96, 160, (count, channels, size_px, size_px), dtype=torch.uint8, generator=generator)
    masks, labels, side = torch.zeros(count, size_px, size_px, dtype=torch.uint8), torch.arange(count) % 2, size_px // 2
    for i, label in enumerate(labels.tolist()):
        top, left = torch.randint(0, size_px - side, (2,), generator=generator).tolist()
        images[i, :, top : top + side, left : left + side] = 20 if label else 235
        masks[i, top : top + side, left : left + side] = label + 1
    return LabelledImages(images=images, labels=labels, masks=masks, marked=torch.ones(count, dtype=torch.bool))


def weights_of(inspector: Inspector) -> Tensor:
    return torch.cat([value.double().reshape(-1) for value in inspector.network.state_dict().values()])


@pytest.mark.parametrize(("kind", "size_px"), KINDS)
@pytest.mark.parametrize(("channels", "num_classes"), [(1, 1), (3, 4)])
def test_maps_logits_sureness_and_features_have_their_shapes(kind: str, size_px: int, channels: int, num_classes: int) -> None:
    inspector = small(kind, size_px=size_px, channels=channels, num_classes=num_classes)
    images = blots(3, size_px=size_px, channels=channels).images
    with torch.no_grad():
        assert inspector.network(torch.zeros(2, channels, size_px, size_px)).shape == (2, num_classes, size_px, size_px)
    said, found = predict(inspector, images), features(inspector, images)
    assert said["maps"].shape == (3, size_px, size_px) and said["maps"].dtype == torch.uint8 and said["maps"].max() <= num_classes
    assert said["logits"].shape == (3, num_classes) and said["sureness"].shape == (3,)
    assert said["logits"].dtype == said["sureness"].dtype == found.dtype == torch.float32
    assert found.shape[0] == 3 and found.shape[1] >= 64


def test_a_pixel_is_of_the_likeliest_class_that_reaches_the_threshold() -> None:
    network = small(threshold=0.6).network
    logits = torch.full((1, 2, 10, 20), -3.0)
    logits[0, 0, 0, 0], logits[0, 1, 0, 0] = 1.0, 2.0
    logits[0, 0, 0, 1] = 2.0
    logits[0, 0, 0, 2] = 0.3
    said = network.predictions(torch.cat([logits, torch.full_like(logits, -3.0)]))
    assert said["maps"][0, 0, :4].tolist() == [2, 1, 0, 0] and said["maps"][1].sum() == 0
    sure = torch.tensor(2.0).sigmoid().item()
    assert said["sureness"].tolist() == pytest.approx([sure, 0.0])
    # A hundredth of two hundred pixels is two.
    assert said["logits"][0].tolist() == pytest.approx([(2.0 + 1.0) / 2, (2.0 - 3.0) / 2])


def test_unmarked_images_have_no_planes_and_do_not_move_the_loss() -> None:
    network, data = small(size_px=32).network, blots(4, size_px=32)
    marked = torch.tensor([True, False, True, True])
    masks = torch.where(marked.view(-1, 1, 1), data.masks, torch.tensor(77, dtype=torch.uint8))
    planes = network.planes(masks, data.labels, marked)
    assert planes is not None and planes.shape == (4, 1, 32, 32) and planes.dtype == torch.uint8
    assert planes[1].eq(UNKNOWN).all() and torch.equal(planes[marked][:, 0], data.masks[marked])  # type: ignore[index]
    said = torch.randn(4, 2, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    whole = network.loss(said, shown(planes, marked), 0.0)
    kept = network.loss(said[marked], shown(planes[marked], marked[marked]), 0.0)
    assert whole.item() == pytest.approx(kept.item(), abs=1e-6)
    whole.backward()
    assert said.grad is not None and said.grad[1].abs().sum() == 0 and said.grad[0].abs().sum() > 0


def shown(planes: Tensor | None, marked: Tensor | None, weights: Tensor | None = None) -> Shown:
    count = 1 if planes is None else len(planes)
    return Shown(images=torch.zeros(count, 1, 4, 4), labels=torch.zeros(count, dtype=torch.int64), planes=planes, marked=marked, weights=weights)


def test_the_loss_is_the_one_that_the_settings_name() -> None:
    said = torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    planes = torch.randint(0, 3, (3, 1, 8, 8), generator=torch.Generator().manual_seed(2)).to(torch.uint8)
    weights = torch.tensor([1.0, 0.3, 0.0])
    goal = wanted(planes, weights, 2)
    expected = {
        "dice": dice(said, goal),
        "bce": bce(said, goal),
        "dice_bce": 0.25 * dice(said, goal) + 0.75 * bce(said, goal),
        "tversky": tversky(said, goal, 0.9),
        "focal": focal(said, goal, gamma=1.5, alpha=0.6),
    }
    for loss, value in expected.items():
        network = small(size_px=32, loss=loss, dice_weight=0.25, tversky_missed=0.9, focal_gamma=1.5, focal_alpha=0.6).network
        assert network.loss(said, shown(planes, None, weights), 0.0).item() == pytest.approx(value.item(), abs=1e-6), loss
    with pytest.raises(DatasetError, match="no image has a mask"):
        small(size_px=32).network.loss(said, shown(None, None), 0.0)


def test_masks_with_numbers_that_no_class_has_are_refused() -> None:
    data = blots(4, size_px=32)
    network = small(size_px=32, num_classes=1).network
    assert data.masks is not None and data.marked is not None
    with pytest.raises(DatasetError, match="a mask holds the number 2; expected 0 for background, 1 to 1"):
        network.planes(data.masks, data.labels, data.marked)


def test_it_learns_eight_images_by_heart() -> None:
    inspector, data = small(size_px=32, batch=8, min_steps=60, lr=5e-3), blots(8, size_px=32)
    list(train(inspector, real=data, seed=0))
    said = predict(inspector, data.images)
    assert data.masks is not None
    assert iou(pixel_confusions(said["maps"], data.masks, 2)) > 0.9
    assert said["sureness"].min() > 0.5
    assert torch.equal(said["logits"].argmax(1), data.labels), "the image-level logits tell whose defect it is"


def test_images_without_marks_beside_marked_ones_change_no_learnt_weight_by_their_masks() -> None:
    """Two trainings that differ only in the masks of unmarked images end equal bit for bit."""
    data, ends = blots(6, size_px=32), []
    assert data.masks is not None
    marked = torch.tensor([True, True, True, True, False, False])
    for filled in (0, 2):
        masks = torch.where(marked.view(-1, 1, 1), data.masks, torch.tensor(filled, dtype=torch.uint8))
        inspector = small(size_px=32, min_steps=3, augment="classical")
        list(train(inspector, real=LabelledImages(images=data.images, labels=data.labels, masks=masks, marked=marked), seed=0))
        ends.append(weights_of(inspector))
    assert torch.equal(*ends)


@pytest.mark.parametrize(("kind", "size_px"), KINDS)
def test_two_images_a_step_are_enough(kind: str, size_px: int) -> None:
    """Global pooling leaves one pixel, of which batch norm needs two; of three images the epochs' last batches run on into the next ones."""
    inspector = small(kind, size_px=size_px, batch=2, min_steps=2)
    last = list(train(inspector, real=blots(3, size_px=size_px), seed=0))[-1]
    assert last.metrics["step"] == 2.0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_training_ends_with_the_same_bits(precision: str) -> None:
    """DeepLabV3+ drops values at random, by the library's own dropout: it must drop the same ones after an interruption."""
    data, kept = blots(6, size_px=32), []

    def save(checkpoint: Checkpoint) -> None:
        state = {part: _copied(value) for part, value in checkpoint.state.items()}
        kept.append(Checkpoint(step=checkpoint.step, seconds=checkpoint.seconds, state=state))

    outside = torch.random.get_rng_state()
    whole = small(size_px=32, min_steps=4, augment="classical")
    list(train(whole, real=data, seed=5, precision=precision, save=save, save_every_s=0.0))
    again = small(size_px=32, min_steps=4, augment="classical", seed=9)
    list(train(again, real=data, seed=5, precision=precision, resume=kept[1]))
    assert kept[1].step == 2 and torch.equal(weights_of(whole), weights_of(again))
    other = small(size_px=32, min_steps=4, augment="classical")
    list(train(other, real=data, seed=6, precision=precision))
    assert not torch.equal(weights_of(whole), weights_of(other))
    assert torch.equal(torch.random.get_rng_state(), outside)


def test_a_trained_segmenter_is_published_with_its_maps_and_found_again(tmp_path: Path) -> None:
    store, data = Store(tmp_path), blots(6, size_px=32)

    def found() -> Inspected:
        part = InspectorPart(kind="deeplabv3plus", settings={"encoder": TINY, "epochs": 1, "min_steps": 2, "batch": 4, "augment": "none"})
        shape = {"num_classes": 2, "seed": 1, "precision": "fp32", "device": "cpu", "store": store}
        stage = inspect(part, real=data, synthetic=None, validation=data, inputs=["split"], **shape)
        while True:
            try:
                next(stage)
            except StopIteration as end:
                return end.value

    made, again = found(), found()
    assert (made.reused, again.reused) == (False, True)
    kept, said = read_predictions(again.entry), predict(load_inspector(again.entry, "cpu"), data.images)
    assert set(kept) == {"maps", "logits", "sureness", "labels", "masks", "marked"}
    assert torch.equal(kept["maps"], said["maps"]) and torch.equal(kept["sureness"], said["sureness"])
    assert made.costs["inspector_params_m"] > 0.9 and made.costs["inspector_gmadds"] > 0


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("cls", "channels", "classes", "count"),
    [(DeepLabV3Plus, 3, 1, 22_437_457), (PAN, 3, 1, 21_475_816), (smp_kind("unet"), 3, 1, 24_436_369)],
)
def test_parameter_counts_are_the_librarys(cls: type[Segmenter], channels: int, classes: int, count: int) -> None:
    """With ResNet-34, three channels and one class; and as the library builds it."""
    with torch.device("meta"):
        own = cls(cls.Config(), size_px=128, channels=channels, num_classes=classes)
        theirs = smp.create_model(cls.architecture, "resnet34", encoder_weights=None, in_channels=channels, classes=classes)
    assert sum(parameter.numel() for parameter in own.parameters()) == count
    assert sum(parameter.numel() for parameter in theirs.parameters()) == count


def test_sizes_and_encoders_that_do_not_go_together_are_named_with_what_does() -> None:
    def problems(cls: type[Segmenter], size_px: int, **settings: Any) -> list[str]:
        return cls.problems(cls.Config(**{"encoder": TINY, **settings}), size_px=size_px, channels=1, num_classes=3)

    assert [size for size in SIZES_PX if not problems(DeepLabV3Plus, size)] == [32, 64, 128, 256]
    assert problems(PAN, 64) == ["does not take images of 64 px; the nearest size that works is 128 (data.size_px)"]
    assert problems(PAN, 128, output_stride=32) == ["does not take images of 128 px; the nearest size that works is 256 (data.size_px)"]
    (text,) = problems(DeepLabV3Plus, 64, encoder="xception")
    assert text.startswith("encoder: xception does not go with deeplabv3plus (") and text.endswith("take resnet34, or another that does")
    (text,) = problems(smp_kind("dpt"), 64, encoder="resnet34")
    assert "encoder: resnet34 does not go with dpt" in text and "take tu-vit_tiny_patch16_224" in text
    (text,) = DeepLabV3Plus.problems(DeepLabV3Plus.Config(encoder=TINY), size_px=64, channels=1, num_classes=255)
    assert "at most 254" in text


@pytest.mark.parametrize("name", smp.MODEL_ARCHITECTURES_MAPPING)
def test_every_architecture_of_the_library_is_an_inspector(name: str) -> None:
    assert smp_kind(name) is smp_kind(name) and smp_kind(name).task == "segment"
    assert refusal(name, "tu-test_vit" if name == "dpt" else TINY, None, 128) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"encoder": "resnet43"}, "no 'resnet43'; did you mean resnet34"),
        ({"encoder": "tu-resnet10tt"}, "did you mean tu-resnet10t"),
        ({"encoder": "timm-skresnet18"}, "no 'timm-skresnet18'; did you mean"),
        ({"threshold": 2.0, "lr": -1.0, "dice_weight": -0.5}, r"lr: -1.0 .*dice_weight: -0.5 is not between 0 and 1; threshold: 2.0 is not"),
        ({"loss": "dise"}, "did you mean dice"),
        ({"output_stride": 32}, "output_stride: 32 is not one of 8, 16"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read_config(InspectorPart(kind="deeplabv3plus", settings=settings))


def test_architectures_that_there_are_not_are_refused_with_the_nearest() -> None:
    for name in ("unett", "Unet"):
        with pytest.raises(SettingsError, match=f"no architecture '{name}'; did you mean smp:unet"):
            read_config(InspectorPart(kind=f"smp:{name}"))


@pytest.mark.parametrize("whole", [True, False])
def test_weights_of_files_are_taken_and_those_that_do_not_fit_named(whole: bool, tmp_path: Path) -> None:
    given = smp.create_model("deeplabv3plus", TINY, encoder_weights=None, classes=7)
    file, other = str(tmp_path / "given.safetensors"), str(tmp_path / "other.safetensors")
    tensors = given.state_dict() if whole else {**given.encoder.state_dict(), "fc.weight": torch.zeros(10, 4)}
    save_file({name: value.contiguous() for name, value in tensors.items()}, file)
    inspector = small(size_px=32, weights=file)
    assert inspector.network.problems(inspector.config, size_px=32, channels=1, num_classes=2) == []
    before = inspector.network.state_dict()["network.network.segmentation_head.0.weight"].clone()
    inspector.network.begin()
    state = {name.removeprefix("network.network."): value for name, value in inspector.network.state_dict().items()}
    taken = [name for name in given.state_dict() if name.startswith("encoder." if not whole else ("encoder.", "decoder."))]
    assert len(taken) > 50 and all(torch.equal(state[name], given.state_dict()[name]) for name in taken)
    assert torch.equal(state["segmentation_head.0.weight"], before), "the last layer is new"
    assert features(inspector, blots(2, size_px=32).images).shape[0] == 2, "a grey image is shown as three channels"
    name = next(name for name in tensors if name.endswith("weight") and tensors[name].ndim == 4)
    save_file({key: value[:1].contiguous() if key == name else value.contiguous() for key, value in tensors.items()}, other)
    config = SegmenterConfig(encoder=TINY, weights=other)
    (text,) = DeepLabV3Plus.problems(config, size_px=32, channels=1)
    assert text.startswith(f"weights: {other}: 1 of ") and f"{name}: expected " in text
    with pytest.raises(SettingsError, match=r"1 of .* tensors do not fit"):
        small(size_px=32, weights=other).network.begin()
