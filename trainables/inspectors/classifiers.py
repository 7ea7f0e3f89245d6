"""What inspectors that name the class of an image have in common.

The networks are in `torchvision_networks`, `timm_networks`, `sdg_cnns`, `cnn_sca` and `fcn`. Called by `training.py`, `stage.py`, `head.py`, the
inspector contract tests and the cost scores.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from trainables.errors import DatasetError
from trainables.inspectors.base import InspectorNetwork, Shown


class Classifier(InspectorNetwork):
    """What all inspectors that name the class of an image have in common: a trunk, and one linear layer at its end."""

    VERSION = 1
    """Of all classifiers."""
    task = "classify"

    trunk: nn.Module
    head: nn.Linear
    """The last layer; `features` gives what enters it."""

    def features(self, x: Tensor) -> Tensor:
        """Gives the pooled features before the last layer: (B, C, H, W) in [-1, 1] to (B, D)."""
        pooled: Tensor = self.trunk(x)
        return pooled.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Gives logits: (B, C, H, W) in [-1, 1] to (B, num_classes)."""
        logits: Tensor = self.head(self.features(x))
        return logits

    def check(self, labels: Tensor, num_classes: int) -> None:
        """Refuses labels that are no class's.

        Raises:
            DatasetError: a label is outside of the classes.
        """
        if not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
            raise DatasetError(f"inspector: labels from {int(labels.min())} to {int(labels.max())}, expected 0 to {num_classes - 1}")

    def loss(self, said: Tensor, shown: Shown, share: float) -> Tensor:
        """Gives the cross-entropy, weighted image by image where the batch has weights."""
        if shown.weights is None:
            return F.cross_entropy(said.float(), shown.labels)
        each = F.cross_entropy(said.float(), shown.labels, reduction="none")
        return (each * shown.weights).sum() / shown.weights.sum()

    def predictions(self, said: Tensor) -> dict[str, Tensor]:
        """Keeps the logits, (B, num_classes) float32."""
        return {"logits": said.float()}
