"""KID and Frechet distance against closed forms and against the public libraries."""

import math

import pytest
import torch
from torch import Tensor, nn

from trainables.scores.distances import FLOOR_HALVINGS, floors, frechet, image_distances, kid
from trainables.scores.neighbours import overlap


def gaussian(n: int, d: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) * scale + shift


def frechet_by_definition(a: Tensor, b: Tensor) -> float:
    """Trace of the root of the product, by the eigenvalues of the product itself."""
    product = torch.linalg.eigvals(torch.cov(a.T) @ torch.cov(b.T))
    root = product.real.clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + torch.cov(a.T).trace() + torch.cov(b.T).trace() - 2 * root)


@pytest.mark.parametrize(("n", "m", "d"), [(200, 300, 8), (9, 300, 12), (7, 5, 32), (13, 40, 12)])
def test_frechet_equals_its_definition_on_both_sides_of_the_low_rank_identity(n: int, m: int, d: int) -> None:
    a, b = gaussian(n, d, 1), gaussian(m, d, 2, scale=1.7, shift=0.3)
    assert frechet(a, b) == pytest.approx(frechet_by_definition(a, b), rel=1e-6)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)


def test_frechet_of_scaled_and_shifted_sets_has_a_closed_form() -> None:
    a = gaussian(50, 6, 3)
    trace = float(torch.cov(a.T).trace())
    assert frechet(a, a + 2.0) == pytest.approx(6 * 4.0, rel=1e-9)
    assert frechet(a, (a - a.mean(0)) * 3.0 + a.mean(0)) == pytest.approx(4.0 * trace, rel=1e-9)
    assert frechet(a, a) == pytest.approx(0.0, abs=1e-9)


def test_kid_has_a_closed_form_for_two_points_a_side() -> None:
    a = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    b = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    # k(x, y) = (x.y / 2 + 1)^3: within a 1, within b 1, across (2^3 + 1 + 1 + 2^3) / 4.
    assert kid(a, b) == pytest.approx(1.0 + 1.0 - 2.0 * (8 + 1 + 1 + 8) / 4)


def test_kid_is_unbiased_where_frechet_is_not() -> None:
    small = [kid(gaussian(10, 16, 2 * s), gaussian(10, 16, 2 * s + 1)) for s in range(200)]
    spread = torch.tensor(small).std().item() / math.sqrt(len(small))
    assert abs(sum(small) / len(small)) < 4 * spread
    assert frechet(gaussian(10, 16, 0), gaussian(10, 16, 1)) > 5 * frechet(gaussian(500, 16, 0), gaussian(500, 16, 1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_both_agree_with_the_public_libraries() -> None:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.kid import KernelInceptionDistance

    class Flat(nn.Module):
        num_features = 24

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)

    a, b = gaussian(60, 24, 5).float(), gaussian(80, 24, 6, scale=1.3, shift=0.2).float()
    theirs = fid_statistics_to_metric(fid_features_to_statistics(a), fid_features_to_statistics(b), verbose=False)
    assert frechet(a, b) == pytest.approx(next(iter(theirs.values())), rel=1e-4)
    theirs = kid_features_to_metric(a[:60], b[:60], kid_subsets=1, kid_subset_size=60, verbose=False)
    assert kid(a[:60], b[:60]) == pytest.approx(next(iter(theirs.values())), rel=1e-4)

    shape = (-1, 1, 4, 6)
    fid_metric = FrechetInceptionDistance(feature=Flat(), normalize=True, input_img_size=(1, 4, 6))
    kid_metric = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=60, normalize=True)
    for metric in (fid_metric, kid_metric):
        metric.normalize = False
        metric.update(a[:60].reshape(shape), real=True)
        metric.update(b[:60].reshape(shape), real=False)
    assert frechet(a[:60], b[:60]) == pytest.approx(float(fid_metric.compute()), rel=1e-4)
    assert kid(a[:60], b[:60]) == pytest.approx(float(kid_metric.compute()[0]), rel=1e-4)


def test_floors_say_what_no_difference_looks_like() -> None:
    real = gaussian(40, 8, 7)
    kid_floor, frechet_floor = floors(real)
    assert floors(real) == (kid_floor, frechet_floor)
    assert abs(kid_floor) < 0.5 * kid(real, gaussian(40, 8, 8, shift=0.7))
    assert 0 < frechet_floor < frechet(real, gaussian(40, 8, 8, shift=0.7))
    assert FLOOR_HALVINGS > 1


def test_distances_are_named_by_extractor_and_averaged_over_classes() -> None:
    real = {"a": gaussian(12, 4, 1), "b": gaussian(12, 4, 2), "c": gaussian(3, 4, 3)}
    real["b"] = real["b"][:1]
    synthetic = {"a": gaussian(9, 4, 4, shift=1), "b": gaussian(9, 4, 5), "c": gaussian(9, 4, 6)}
    found = image_distances(real, synthetic, extractor="inspector")
    assert found["val_kid_inspector.a"] == kid(real["a"], synthetic["a"])
    assert found["val_kid_inspector.b"] is None, "one image has no distance"
    assert found["val_frechet_inspector"] == pytest.approx((frechet(real["a"], synthetic["a"]) + frechet(real["c"], synthetic["c"])) / 2)
    assert found["val_kid_inspector_floor.c"] is None, "three images have no halves of two"
    assert found["val_kid_inspector_floor"] is not None
    assert not [name for name in found if "fid" in name]
    assert found["val_coverage_inspector.a"] == overlap(real["a"], synthetic["a"]).coverage
    assert found["val_manifold_recall_inspector"] == overlap(real["a"], synthetic["a"]).recall, "three images have no third neighbour"
    assert found["val_density_inspector.b"] is None and found["val_manifold_precision_inspector.c"] is None
    assert "test_fid" in image_distances(real, synthetic, extractor="inception", split="test")


def test_a_class_without_synthetic_images_is_not_averaged_away() -> None:
    real = {"easy": gaussian(12, 4, 1), "hard": gaussian(12, 4, 2)}
    found = image_distances(real, {"easy": gaussian(9, 4, 4), "hard": gaussian(1, 4, 5)}, extractor="random")
    assert found["val_kid_random.easy"] is not None and found["val_kid_random.hard"] is None
    assert found["val_kid_random"] is None and found["val_frechet_random"] is None and found["val_coverage_random"] is None
    assert found["val_coverage_random.easy"] is not None
    assert found["val_kid_random_floor"] is not None


def test_without_synthetic_images_only_the_floor_has_a_number() -> None:
    found = image_distances({"a": gaussian(12, 4, 1)}, {}, extractor="random")
    assert found["val_kid_random"] is None and found["val_frechet_random.a"] is None
    assert found["val_kid_random_floor"] is not None
