"""The contract of every generator family, picked up from the registry: a new family is tested by being listed."""

import math
from itertools import chain

import pytest
import torch
from torch import Tensor, nn

from trainables.checkpoints import state_from_bytes, state_to_bytes
from trainables.errors import SettingsError, TrialFailure
from trainables.generators import GENERATORS
from trainables.generators.bases.model import GeneratorModel
from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.training.loop import train
from trainables.generators.training.stage import build
from trainables.recipe import GeneratorPart
from trainables.registry import resolve
from trainables.settings import from_plain

# The smallest networks of each family, so that the contract is quick. A family that is not here is tested with its defaults.
SMALL = {
    "gan": {"width": 8, "latent_dim": 16, "batch": 8, "lr": 1e-3},
    "dcgan": {"width": 8, "latent_dim": 16, "batch": 8},
    "lsgan": {"width": 8, "latent_dim": 16, "batch": 8},
    "sdg_gan": {"width": 4, "latent_dim": 16, "batch": 8, "n_critic": 2},
    "wgan_gp": {"width": 8, "latent_dim": 16, "batch": 8, "n_critic": 2},
    "lm_gan": {
        "base_channels": 8,
        "latent_dim": 8,
        "mapping_depth": 2,
        "mapping_width": 16,
        "w_dim": "latent",
        "batch": 8,
        "n_critic": 2,
        "lr": 1e-3,
    },
    "cyclegan": {"base_width": 8, "n_res_blocks": 1, "batch": 4, "pool_size": 10},
    "stargan": {"base_width": 8, "n_res_blocks": 1, "batch": 8, "n_critic": 2},
    "pe_gan": {"base_width": 8, "n_res_blocks": 1, "batch": 8, "n_critic": 2},
    "stylegan2": {
        "latent_dim": 16,
        "channel_base": 256,
        "max_channels": 16,
        "batch": 8,
        "d_reg_interval": 2,
        "g_reg_interval": 2,
        "aug_mode": "both",
        "ada_kimg": 0.2,
    },
    "defect_residual": {"width": 8, "latent_dim": 8, "batch": 8, "gp_interval": 2},
    "fastgan": {"width": 4, "latent_dim": 8, "batch": 8},
    "flow_unet": {"width": 8, "batch": 8, "sample_steps": 3, "lr": 1e-3},
    "vaegan_ce": {"hidden": 16, "latent_size": 6, "batch": 8, "critic_iter": 2, "lr": 1e-3},
    "tf_vaegan": {"hidden": 16, "latent_size": 6, "batch": 8, "critic_iter": 2, "lr": 1e-3},
}
CLASSES = 3
FEATURES = 12
FAMILIES = sorted(GENERATORS)
TOLD = [name for name in FAMILIES if "conditional" in resolve(GENERATORS[name]).class_modes]
LEARNING = [name for name in FAMILIES if resolve(GENERATORS[name]).learns]
OF_FEATURES = [name for name in FAMILIES if resolve(GENERATORS[name]).makes == "features"]
OF_IMAGES = [name for name in FAMILIES if name not in OF_FEATURES]


def small(family: str, *, channels: int = 1, num_classes: int | None = None, size_px: int = 32, fit: bool = True, **more: object) -> GeneratorModel:
    """Builds a small model, of all classes where it can be told them; one that learns nothing has seen its data, unless it is not to."""
    num_classes = num_classes or (CLASSES if family in TOLD else 1)
    arguments = {"device": "cpu", "precision": "fp32", "seed": 5, **more}
    averages = {"ema_halflife_kimg": 0.05} if resolve(GENERATORS[family]).learns else {}
    part = GeneratorPart(family=family, settings={**averages, **SMALL.get(family, {})}, kimg=1.0)
    model = build(part, Subject(shape=shape(family, channels, size_px), num_classes=num_classes), **arguments)  # type: ignore[arg-type]
    if fit and not model.learns:
        run(model, images(channels, size_px), 0, 0)
    return model


def shape(family: str, channels: int = 1, size_px: int = 32) -> tuple[int, ...]:
    return (FEATURES,) if family in OF_FEATURES else (channels, size_px, size_px)


def images(channels: int = 1, size_px: int = 32, count: int = 30) -> TrainingData:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % CLASSES
    pixels = torch.randint(0, 200, (count, channels, size_px, size_px), generator=random, dtype=torch.uint8)
    pixels += (labels * 20).to(torch.uint8)[:, None, None, None]
    scenes = torch.randint(100, 140, (7, channels, size_px, size_px), generator=random, dtype=torch.uint8)
    masks = torch.zeros(count, 1, size_px, size_px, dtype=torch.uint8)
    masks[:, :, 5:11, 4:18] = 255
    return TrainingData(items=pixels, labels=labels, masks=masks, backgrounds=scenes, num_classes=CLASSES)


def features(data: TrainingData) -> TrainingData:
    """Takes the first pixels of images for features."""
    return TrainingData(items=data.items.flatten(1)[:, :FEATURES].float(), labels=data.labels, num_classes=data.num_classes)


def run(model: GeneratorModel, data: TrainingData, start_step: int, stop_step: int) -> dict[str, float]:
    stop_step = stop_step if model.learns else start_step
    data = features(data) if model.makes == "features" else data
    data = data if model.subject.num_classes > 1 else data.pooled()
    told = [progress.metrics for progress in train(model, data, start_step=start_step, stop_step=stop_step, seed=9, report_every_s=1e9)]
    return told[-1] if model.learns else {}


def draw(model: GeneratorModel, label: int = 0, count: int = 5, seed: int = 1, truncation: float = 1.0) -> Tensor:
    scenes = images(model.subject.channels, model.subject.size_px).backgrounds if model.makes != "features" else None
    return model.sample(label, count, seed, truncation=truncation, backgrounds=scenes).items


def flat(state: object) -> list[object]:
    """Lists the leaves of a nested state, tensors as their bytes."""
    if isinstance(state, dict):
        return [leaf for key in state for leaf in (key, *flat(state[key]))]
    if isinstance(state, list | tuple):
        return [leaf for item in state for leaf in flat(item)]
    return [state.contiguous().numpy().tobytes()] if isinstance(state, Tensor) else [state]


@pytest.mark.parametrize("family", OF_IMAGES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size_px", [32, 64])
def test_images_have_the_shape_and_range_asked_for(family: str, channels: int, size_px: int) -> None:
    model = small(family, channels=channels, size_px=size_px)
    drawn = draw(model, label=CLASSES - 1, count=3)
    assert drawn.shape == (3, channels, size_px, size_px)
    assert drawn.dtype == torch.uint8
    assert drawn.device.type == "cpu"
    assert drawn.float().std() > 0


@pytest.mark.parametrize("family", OF_FEATURES)
def test_features_have_the_shape_and_range_of_the_real_ones(family: str) -> None:
    model, real = small(family), features(images()).items
    run(model, images(), 0, model.steps_per_period)
    drawn = draw(model, label=CLASSES - 1, count=70)
    assert drawn.shape == (70, FEATURES)
    assert drawn.dtype == torch.float32
    assert drawn.device.type == "cpu"
    assert drawn.std(dim=0).min() > 0
    assert (drawn >= real.amin(dim=0) - 1e-3).all() and (drawn <= real.amax(dim=0) + 1e-3).all()


@pytest.mark.parametrize("family", LEARNING)
def test_gradients_reach_every_parameter(family: str) -> None:
    model = small(family)
    data = images()
    before = {
        f"{side}.{name}": weight.detach().clone() for side in ("generator", "critic") for name, weight in getattr(model, side).named_parameters()
    }
    run(model, data, 0, 2 * model.steps_per_period)
    after = {f"{side}.{name}": weight for side in ("generator", "critic") for name, weight in getattr(model, side).named_parameters()}
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert still == set(model.gradient_exempt)


@pytest.mark.parametrize("family", FAMILIES)
def test_equal_seeds_give_equal_weights_and_images_and_other_seeds_others(family: str) -> None:
    data = images()
    one, two, other = small(family), small(family), small(family, seed=6)
    for model in (one, two, other):
        run(model, data, 0, 3)
    assert flat(one.state()) == flat(two.state())
    assert (flat(one.state()) != flat(other.state())) == one.learns
    assert torch.equal(draw(one), draw(two))
    assert not torch.equal(draw(one), draw(one, seed=2))
    assert family not in TOLD or not torch.equal(draw(one), draw(one, label=1))
    # A longer draw begins with the shorter one only where the first batch is full; a repeated draw is always the same.
    assert torch.equal(draw(one), draw(one))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_saved_training_continues_bit_for_bit(family: str, precision: str) -> None:
    data = images()
    straight, first, second = (small(family, precision=precision) for _ in range(3))
    run(straight, data, 0, 7)
    run(first, data, 0, 3)
    draw(first)  # looking at a training on its way does not change it
    second.load(state_from_bytes(state_to_bytes(first.state())))
    run(second, data, 3, 7)
    assert flat(second.state()) == flat(straight.state())
    assert torch.equal(draw(second), draw(straight))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_sampler_alone_draws_what_the_model_draws(family: str) -> None:
    model, loaded = small(family), small(family, seed=77)
    run(model, images(), 0, 3)
    assert torch.equal(draw(model), draw(loaded)) != model.learns
    state = state_from_bytes(state_to_bytes(model.sampler_state()))
    resumed = small(family, fit=False)
    resumed.load_sampler(state)
    assert torch.equal(draw(model, truncation=0.7), draw(resumed, truncation=0.7))


@pytest.mark.parametrize("family", LEARNING)
def test_the_average_follows_the_weights_slower_than_they_move(family: str) -> None:
    model = small(family)
    begun = [weight.clone() for weight in model.ema.parameters()]
    run(model, images(), 0, 4 * model.steps_per_period)
    weights = [weight.detach() for weight in model.generator.parameters()]
    moved = sum(float((weight - start).square().sum()) for weight, start in zip(weights, begun, strict=True))
    followed = sum(float((weight - start).square().sum()) for weight, start in zip(model.ema.parameters(), begun, strict=True))
    assert 0 < followed < moved


@pytest.mark.parametrize("family", LEARNING)
def test_half_life_zero_evaluates_the_weights_as_they_are(family: str) -> None:
    part = GeneratorPart(family=family, settings={**SMALL.get(family, {}), "ema_halflife_kimg": 0.0}, kimg=1.0)
    model = build(part, Subject(shape=shape(family), num_classes=CLASSES if family in TOLD else 1))
    run(model, images(), 0, model.steps_per_period)
    for averaged, weight in zip(model.ema.parameters(), model.generator.parameters(), strict=True):
        assert torch.equal(averaged, weight)


@pytest.mark.parametrize("family", [name for name in FAMILIES if "per_class" in resolve(GENERATORS[name]).class_modes])
def test_a_model_of_one_class_needs_no_labels(family: str) -> None:
    model = small(family, num_classes=1)
    metrics = run(model, images().only(1), 0, model.steps_per_period)
    assert all(map(math.isfinite, metrics.values()))
    assert draw(model).shape == (5, 1, 32, 32)
    assert family not in TOLD or model.parameters_m() < small(family).parameters_m()


@pytest.mark.parametrize("family", [name for name in TOLD if resolve(GENERATORS[name]).takes_vectors])
def test_a_class_may_be_told_by_any_vector(family: str) -> None:
    vectors = torch.rand(CLASSES, 5, generator=torch.Generator().manual_seed(2))
    part = GeneratorPart(family=family, settings=SMALL.get(family, {}), kimg=1.0)

    def told_by(told: Tensor) -> GeneratorModel:
        return build(part, Subject(shape=shape(family), num_classes=CLASSES, class_vectors=told), seed=5)

    model, other, loaded = told_by(vectors), told_by(vectors.flip(0)), told_by(torch.ones(CLASSES, 5))
    for trained in (model, other):
        assert all(map(math.isfinite, run(trained, images(), 0, 2 * trained.steps_per_period).values()))
    assert not torch.equal(draw(model), draw(model, label=1))
    assert not torch.equal(draw(model), draw(other)), "the vectors reach the networks"
    # Their values are in the state, so that a mark alone draws what the model draws.
    loaded.load_sampler(state_from_bytes(state_to_bytes(model.sampler_state())))
    assert torch.equal(draw(model, label=2), draw(loaded, label=2))


@pytest.mark.parametrize("family", LEARNING)
def test_a_number_that_is_not_finite_ends_the_training_by_name(family: str) -> None:
    model = small(family)
    with torch.no_grad():
        next(chain(model.critic.parameters(), model.generator.parameters())).fill_(float("nan"))
    with pytest.raises(TrialFailure, match="not finite") as caught:
        run(model, images(), 0, 2)
    assert caught.value.name == "diverged"


@pytest.mark.parametrize("family", OF_IMAGES)
def test_a_size_it_cannot_be_built_for_is_refused(family: str) -> None:
    with pytest.raises(SettingsError, match=r"data.size_px.*it can for"):
        small(family, size_px=8)


@pytest.mark.parametrize("family", [name for name in FAMILIES if resolve(GENERATORS[name]).needs_backgrounds])
def test_missing_backgrounds_are_said(family: str) -> None:
    data = images()
    bare = TrainingData(items=data.items, labels=data.labels, num_classes=CLASSES)
    with pytest.raises(SettingsError, match=r"data\.backgrounds"):
        run(small(family), bare, 0, 1)
    with pytest.raises(SettingsError, match=r"data\.backgrounds"):
        small(family).sample(0, 1, 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_masks_come_with_images_where_it_says_so(family: str) -> None:
    model = small(family)
    run(model, images(), 0, model.steps_per_period)
    masks = model.sample(1, 5, 1, backgrounds=images().backgrounds).masks
    assert (masks is not None) == (model.makes == "images and masks")
    if masks is not None:
        assert masks.shape == (5, 1, 32, 32) and masks.dtype == torch.uint8
        assert set(masks.unique().tolist()) <= {0, 255}


@pytest.mark.parametrize("family", FAMILIES)
def test_what_it_declares_fits_together(family: str) -> None:
    kind = resolve(GENERATORS[family])
    assert kind.makes in ("images", "images and masks", "features")
    config = from_plain(kind.Config, {})
    assert config.class_mode in kind.class_modes
    assert all(hasattr(config, name) for name in (*kind.sampling_settings, *kind.head_settings))
    assert bool(kind.head_settings) == (kind.makes == "features")
    model = small(family)
    # The setting counts the images of a step, or those of each side of it.
    assert (SMALL[family]["batch"] if kind.learns else 0) in (model.images_per_step, model.batch_size)
    # Where there are several generators, only the one that draws counts.
    drawing = model.generator["defect"] if isinstance(model.generator, nn.ModuleDict) else model.generator
    assert model.parameters_m() == sum(weight.numel() for weight in drawing.parameters()) / 1e6
    network, latent = model.probe()
    assert network(torch.zeros(2, *latent)).shape == (2, *shape(family))
