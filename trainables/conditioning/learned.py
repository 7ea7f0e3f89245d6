"""Learned class embeddings: the VAE of the two-stage paper (vaegan2023), whose latent is held near the real embedding of the class.

L = rec_weight * BCE + kl_weight * KL(N(mu, s^2) || N(CE, 1)), equations 1 to 3 with their sign errors corrected; the learned vector of a class is
the mean latent over its training images. Called by `conditioning.stage`.
"""

import time
from collections.abc import Generator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.errors import TrialFailure
from trainables.progress import Progress
from trainables.seeds import child_seed

STEPS = 600
"""Unstated by the paper; the loss of a few hundred features is flat by then."""
BATCH = 64
LR = 1e-3
LEAST_HIDDEN = 64
REPORT_EVERY_S = 2.0


class ClassVae(nn.Module):
    """Encoder x (B, D) -> hidden -> mean and log-variance (B, V), decoder (B, V) -> hidden -> logits of x (B, D).

    The hidden layer is half as wide as x: 2048-1024-29 in the paper's setting, whose widths are unstated.
    """

    def __init__(self, width: int, length: int) -> None:
        super().__init__()
        hidden = max(LEAST_HIDDEN, width // 2)
        self.encoder = nn.Sequential(nn.Linear(width, hidden), nn.LeakyReLU(0.2))
        self.mean = nn.Linear(hidden, length)
        self.log_variance = nn.Linear(hidden, length)
        self.decoder = nn.Sequential(nn.Linear(length, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, width))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Gives mean and log-variance of the latent."""
        hidden = self.encoder(x)
        return self.mean(hidden), self.log_variance(hidden)


def scaled(features: Tensor) -> Tensor:
    """Brings each feature of (N, D) into [0, 1] by its least and largest value; one that never changes becomes 0."""
    low, high = features.amin(0), features.amax(0)
    return torch.where(high > low, (features - low) / (high - low).clamp_min(1e-12), torch.zeros(())).clamp(0.0, 1.0)


def reconstruction_loss(logits: Tensor, x: Tensor) -> Tensor:
    """Binary cross-entropy (equation 1) of x (B, D) in [0, 1], summed over features, mean over the batch."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()


def embedding_loss(mean: Tensor, log_variance: Tensor, embedding: Tensor) -> Tensor:
    """KL(N(mean, s^2) || N(embedding, 1)) = 0.5 sum(-1 - log s^2 + s^2 + (mean - embedding)^2), mean over the batch.

    Equation 3 prints +1 + log s^2 under a common minus, which no KL divergence has.
    """
    return 0.5 * (-1.0 - log_variance + log_variance.exp() + (mean - embedding).square()).sum(1).mean()


def learn(
    features: Tensor, labels: Tensor, real: Tensor, *, rec_weight: float, kl_weight: float, seed: int, steps: int = STEPS
) -> Generator[Progress, None, Tensor]:
    """Learns a vector for each class, always on the CPU, so that the same features give the same vectors everywhere.

    Args:
        features: (N, D) of the training split.
        labels: int64 (N,); rows whose label is no row of `real` only help to scale.
        real: the real embeddings, (num_classes, V).
        rec_weight: weight of the reconstruction; the paper's is 0.5.
        kl_weight: weight of the divergence; the paper's is 1.
        seed: decides first weights, batches and latents.
        steps: updates.

    Yields:
        Progress about every two seconds.

    Returns:
        The mean latent of each class, float32 (num_classes, V); the real vector of a class without an image.

    Raises:
        TrialFailure: `diverged`, where the loss or a vector is not finite.
    """
    rows = (labels >= 0) & (labels < len(real))
    x, y = scaled(features.float())[rows], labels[rows]
    random = torch.Generator().manual_seed(child_seed(seed, "vae", "batches"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "vae", "weights"))
        vae = ClassVae(x.shape[1], real.shape[1])
    optimizer = torch.optim.Adam(vae.parameters(), lr=LR, fused=True)
    told = time.monotonic()
    for step in range(steps):
        shown = torch.randint(len(x), (min(BATCH, len(x)),), generator=random)
        mean, log_variance = vae.encode(x[shown])
        latent = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=random)
        loss = rec_weight * reconstruction_loss(vae.decoder(latent), x[shown])
        loss = loss + kl_weight * embedding_loss(mean, log_variance, real[y[shown]])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if time.monotonic() - told >= REPORT_EVERY_S or step + 1 == steps:
            told = time.monotonic()
            if not torch.isfinite(loss):
                raise TrialFailure("diverged", f"learned class embeddings: the loss is not finite by step {step + 1}")
            yield Progress(stage="conditioning", metrics={"loss": float(loss.detach())})
    with torch.no_grad():
        latents = vae.encode(x)[0]
    vectors = torch.stack([latents[y == label].mean(0) if (y == label).any() else real[label] for label in range(len(real))])
    if not torch.isfinite(vectors).all():
        raise TrialFailure("diverged", "learned class embeddings: a vector is not finite")
    return vectors
