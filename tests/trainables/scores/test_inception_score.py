"""The Inception Score against closed forms and torchmetrics."""

import pytest
import torch
from torch import nn
from torchmetrics.image.inception import InceptionScore

from trainables.scores.inception_score import inception_score


def test_closed_forms() -> None:
    assert inception_score(torch.eye(7).repeat(3, 1)) == pytest.approx(7.0)
    assert inception_score(torch.rand(1, 5).softmax(1).expand(9, -1)) == pytest.approx(1.0)
    # Half of the images surely of one class, half of the other: two equal classes.
    assert inception_score(torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])) == pytest.approx(2.0)


class Logits(nn.Module):
    """Takes the first pixels of an image for its logits."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0, 0, :6].float() / 40.0


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_equals_torchmetrics() -> None:
    images = torch.randint(0, 256, (50, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    theirs = InceptionScore(feature=Logits(), splits=1)
    theirs.update(images)
    assert inception_score(Logits()(images).softmax(1)) == pytest.approx(float(theirs.compute()[0]), abs=1e-6)
