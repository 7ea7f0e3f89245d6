"""The Inception Score of a set of images, from any classifier's probabilities; its name says whose. Called by `scores.image_sets`."""

import torch
from torch import Tensor


def inception_score(probabilities: Tensor) -> float:
    """Gives exp of the mean over images of KL(p(y|x) || p(y)) (Salimans et al. 2016; LM-GAN eq. 4), over all images at once.

    It is 1 where every image looks the same to the classifier, and at most the number of classes. It knows no real images: one perfect picture of
    every class would win. With few images it is too high, and sets of different sizes cannot be compared.

    Args:
        probabilities: (N, K), each row summing to 1, N at least 1.
    """
    p = probabilities.double()
    marginal = p.mean(0)
    # Nothing times the logarithm of nothing is nothing.
    divergence = torch.special.xlogy(p, p) - torch.special.xlogy(p, marginal)
    return float(divergence.sum(1).mean().exp())
