"""Algorithm 1 of the SDG-GAN paper on a table of cases."""

import pytest
import torch

from trainables.scores.patches import decide_images, of_pictures, patch_accuracy

FREE = [0.9, 0.05, 0.05]
CASES = {
    "all patches are defect-free": ([FREE, [0.6, 0.2, 0.2], FREE], 0, -1, 0.6),
    "one defective patch outvotes all others": ([FREE, [0.3, 0.3, 0.4], FREE], 2, 1, 0.4),
    "however certain the others are": ([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.33, 0.34, 0.33]], 1, 2, 0.34),
    "the most certain defective patch decides": ([[0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.4, 0.6, 0.0]], 2, 1, 0.8),
    "equally certain patches: the first decides": ([FREE, [0.2, 0.1, 0.7], [0.2, 0.7, 0.1]], 2, 1, 0.7),
    "nothing is averaged: class 1 has the greater mean": ([[0.0, 0.6, 0.4], [0.1, 0.6, 0.3], [0.25, 0.05, 0.7]], 2, 2, 0.7),
    "a class's probability in a defect-free patch is not asked for": ([[0.5, 0.45, 0.05], [0.3, 0.3, 0.4]], 2, 1, 0.4),
    "equal classes in a patch: the first, here defect-free": ([[0.5, 0.5, 0.0], FREE], 0, -1, 0.5),
    "equal defect classes in a patch: the first": ([FREE, [0.2, 0.4, 0.4]], 1, 1, 0.4),
    "a single patch": ([[0.1, 0.2, 0.7]], 2, 0, 0.7),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("defect_free", [0, 2])
def test_cases(case: str, defect_free: int) -> None:
    patches, label, patch, confidence = CASES[case]
    probabilities = torch.tensor([patches])
    if defect_free == 2:
        # Here the defect-free class comes last, as in a pack, and the defect classes keep their order.
        probabilities = probabilities[..., [1, 2, 0]]
        if "first, here defect-free" in case:
            probabilities[0, 0] = torch.tensor([0.49, 0.01, 0.5])
        label = [2, 0, 1][label]
    found = decide_images(probabilities, defect_free)
    assert found.labels.tolist() == [label] and found.patches.tolist() == [patch]
    assert found.confidences.tolist() == pytest.approx([confidence])


def test_images_are_decided_one_by_one() -> None:
    probabilities = torch.randn(40, 16, 5, generator=torch.Generator().manual_seed(0)).mul(2).softmax(2)
    probabilities[:20, :, 0] += 1.0
    together = decide_images(probabilities, 0)
    for i, image in enumerate(probabilities):
        alone = decide_images(image[None], 0)
        assert [int(part[i]) for part in together[:2]] == [int(part[0]) for part in alone[:2]]
    assert set(together.labels.tolist()) > {0} and together.labels.dtype == torch.int64
    assert bool(((together.patches == -1) == (together.labels == 0)).all())


def logits(*patches: list[float]) -> torch.Tensor:
    return torch.tensor(patches, dtype=torch.float64).log()


def test_what_is_said_of_a_picture_is_what_is_said_of_the_patch_that_decides() -> None:
    said = logits(FREE, [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], FREE) + 3.0  # Logits, not probabilities; the second picture is defect-free.
    said = torch.cat([said, logits(FREE, [0.6, 0.3, 0.1], [0.5, 0.25, 0.25], FREE)])
    found = of_pictures({"logits": said, "labels": torch.zeros(8)}, 4, 0)
    assert set(found) == {"logits"}
    torch.testing.assert_close(found["logits"], said[[2, 6]])


def test_the_first_class_of_a_picture_is_that_of_algorithm_1() -> None:
    said = torch.randn(300, 6, 5, generator=torch.Generator().manual_seed(0)) + torch.tensor([0.0, 0.0, 0.0, 0.0, 2.5])
    decided = decide_images(said.softmax(2), 4).labels
    assert (of_pictures({"logits": said.reshape(1800, 5)}, 6, 4)["logits"].argmax(1) == decided).all()
    assert 0 < (decided == 4).sum() < 300


def test_patches_are_taken_picture_by_picture_in_their_order() -> None:
    said = logits(*[FREE] * 8)
    said[5] = torch.tensor([0.0, 0.0, 5.0])
    assert of_pictures({"logits": said}, 4, 0)["logits"].argmax(1).tolist() == [0, 2]
    assert of_pictures({"logits": said}, 2, 0)["logits"].argmax(1).tolist() == [0, 0, 2, 0]


def test_a_picture_is_as_defective_as_its_most_defective_patch() -> None:
    said = {"scores": torch.tensor([-2.0, 3.0, 1.0, -5.0, -4.0, -9.0]), "maps": torch.zeros(6, 1, 2, 2)}
    found = of_pictures(said, 3, 1)
    assert set(found) == {"scores"} and found["scores"].tolist() == [3.0, -4.0]


def test_patches_are_scored_each_for_itself() -> None:
    assert patch_accuracy(logits(FREE, FREE, [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]), torch.tensor([0, 1, 1, 2])) == 0.5
