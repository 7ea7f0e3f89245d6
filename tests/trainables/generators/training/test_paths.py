"""Ways between latents and the path length, against closed forms of a linear generator."""

import math

import pytest
import torch
from torch import Tensor

from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.lm_gan import STRIP_COLUMNS, STRIP_ROWS, LmGan, LmGanConfig
from trainables.generators.training.paths import arc, line, path_length, strip


def latents(count: int, length: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    start, end = (torch.randn(count, length, generator=random, dtype=torch.float64) for _ in range(2))
    return start, end, torch.rand(count, 1, generator=random, dtype=torch.float64)


def test_the_path_of_a_linear_generator_on_a_line_is_as_long_as_its_matrix_makes_it() -> None:
    matrix = torch.randn(6, 3 * 4 * 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    start, end, share = latents(10, 6)
    lengths = path_length(lambda z: (z @ matrix).unflatten(1, (3, 4, 4)), line, start, end, share)
    torch.testing.assert_close(lengths, ((end - start) @ matrix).square().mean(dim=1).float(), rtol=1e-4, atol=0)
    # Over all pairs of normal latents: E|A v|^2 with v of variance 2 in each place.
    start, end, share = latents(20_000, 6)
    mean = float(path_length(lambda z: z @ matrix, line, start, end, share).mean())
    assert mean == pytest.approx(2 * float(matrix.square().sum()) / matrix.shape[1], rel=0.04)


def test_the_path_of_a_turning_generator_on_an_arc_is_its_angle() -> None:
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    start, end, share = latents(10, 6)
    start, end = (z / z.norm(dim=1, keepdim=True) for z in (start, end))
    angles = (start * end).sum(dim=1).acos()
    lengths = path_length(lambda z: 3.0 * z @ turn, arc, start, end, share)
    torch.testing.assert_close(lengths, (9.0 * angles.square() / 6).float(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("way", [line, arc])
def test_a_way_leads_from_start_to_end(way: object) -> None:
    start, end, _ = latents(5, 4)
    for share, expected in ((0.0, start), (1.0, end)):
        torch.testing.assert_close(way(start, end, torch.full((5, 1), share, dtype=torch.float64)), expected)  # type: ignore[operator]


def test_an_arc_keeps_the_length_of_latents_where_a_line_shortens_them() -> None:
    start, end = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    half = torch.tensor([[0.5]])
    assert float(arc(start, end, half).norm()) == pytest.approx(2.0)
    assert float(line(start, end, half).norm()) == pytest.approx(math.sqrt(2.0))
    # Opposite and equal directions have no one arc between them.
    for other in (-start, 3 * start):
        assert torch.equal(arc(start, other, half), line(start, other, half))


def test_a_strip_holds_both_ends_and_what_lies_evenly_between() -> None:
    pictures = strip(lambda z: z[:, None], line, torch.zeros(2), torch.tensor([4.0, 8.0]), 5)
    assert pictures[:, 0].tolist() == [[0, 0], [1, 2], [2, 4], [3, 6], [4, 8]]


def model(num_classes: int = 2, **settings: object) -> LmGan:
    config = {"latent_dim": 8, "mapping_depth": 2, "mapping_width": 16, "w_dim": "latent", "base_channels": 8, **settings}
    return LmGan(LmGanConfig(**config), Subject(shape=(1, 32, 32), num_classes=num_classes))  # type: ignore[arg-type]


def data(num_classes: int = 2) -> TrainingData:
    return TrainingData(items=torch.zeros(4, 1, 32, 32, dtype=torch.uint8), labels=torch.arange(4) % num_classes, num_classes=num_classes)


def scores(of: LmGan, seed: int = 0) -> dict[str, float]:
    return of.extra_scores(data(of.subject.num_classes), seed, features=lambda images: images.float().flatten(1), extractor="random")


def test_lm_gan_tells_its_path_lengths_and_a_seed_decides_them() -> None:
    lengths = scores(model())
    assert set(lengths) == {"path_length_z", "path_length_w"}
    assert min(lengths.values()) > 0
    assert lengths == scores(model())
    assert lengths != scores(model(), seed=1)


def test_path_lengths_grow_with_the_square_of_the_slope() -> None:
    # At depth 0 w is z; with tanh all but linear, twice the last layer's weights are four times the path on either way.
    flat = model(mapping_depth=0, normalize_z=False)
    with torch.no_grad():
        flat.generator.layers[-1].weight.mul_(1e-3)
        flat.ema.load_state_dict(flat.generator.state_dict())
    one = scores(flat)
    with torch.no_grad():
        flat.ema.layers[-1].weight.mul_(2.0)
    twice = scores(flat)
    for name in one:
        assert twice[name] == pytest.approx(4 * one[name], rel=0.02)


@pytest.mark.parametrize("num_classes", [1, 6])
def test_strips_in_z_and_in_w_have_the_same_ends(num_classes: int) -> None:
    of = model(num_classes)
    sheets = of.extra_pictures(data(num_classes), 3)
    assert set(sheets) == {"strips_z", "strips_w"}
    for sheet in sheets.values():
        assert sheet.shape == (max(STRIP_ROWS, num_classes), STRIP_COLUMNS, 1, 32, 32)
        assert sheet.dtype == torch.uint8
    z, w = sheets["strips_z"].int(), sheets["strips_w"].int()
    for column in (0, -1):
        assert int((z[:, column] - w[:, column]).abs().max()) <= 1
    assert not torch.equal(z[:, 0], z[:, -1])


def test_looking_does_not_change_the_training() -> None:
    of = model()
    before = {name: weight.clone() for name, weight in of.state()["ema"].items()}
    scores(of)
    of.extra_pictures(data(), 0)
    assert all(torch.equal(weight, before[name]) for name, weight in of.state()["ema"].items())
