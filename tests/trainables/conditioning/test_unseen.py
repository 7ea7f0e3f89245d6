"""What stands for a class without a training image: closed forms of the ridge map, and of the threshold."""

import torch

from trainables.conditioning.unseen import dissimilarity, ridge_map, unseen_vectors


def draw(rows: int, columns: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


def test_with_hardly_a_penalty_a_linear_map_is_found_again() -> None:
    source, weights, shift = draw(12, 4, 0), draw(4, 3, 1), draw(1, 3, 2)
    new = draw(5, 4, 3)
    torch.testing.assert_close(ridge_map(source, source @ weights + shift, new, ridge=1e-9), new @ weights + shift, atol=1e-4, rtol=1e-4)


def test_the_map_is_the_textbook_s() -> None:
    source, target, new = draw(6, 9, 0).double(), draw(6, 4, 1).double(), draw(2, 9, 2).double()
    x, y = source - source.mean(0), target - target.mean(0)
    weights = torch.linalg.inv(x.T @ x + 0.7 * torch.eye(9, dtype=torch.float64)) @ x.T @ y
    expected = target.mean(0) + (new - source.mean(0)) @ weights
    torch.testing.assert_close(ridge_map(source, target, new, ridge=0.7), expected.float())


def test_with_a_huge_penalty_nothing_but_the_mean_is_left() -> None:
    source, target = draw(6, 9, 0), draw(6, 4, 1)
    torch.testing.assert_close(ridge_map(source, target, draw(3, 9, 2), ridge=1e12), target.mean(0).expand(3, -1))


def test_each_reading_gives_its_vectors() -> None:
    parts = {"real_seen": draw(6, 9, 0), "learned_seen": draw(6, 9, 1), "real_unseen": draw(2, 9, 2)}
    assert unseen_vectors("real", **parts) is parts["real_unseen"]
    mapped = unseen_vectors("ridge_mapped", **parts, ridge=0.5)
    assert mapped is not None and torch.equal(mapped, ridge_map(parts["real_seen"], parts["learned_seen"], parts["real_unseen"], ridge=0.5))
    assert unseen_vectors("dissimilarity_threshold", **parts) is None


def test_dissimilarity_is_the_distance_to_the_nearest_class() -> None:
    vectors = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    assert dissimilarity(torch.tensor([[3.0, 4.0], [10.0, 2.0]]), vectors).tolist() == [5.0, 2.0]
