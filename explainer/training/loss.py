"""What training minimises, by output: cross-entropy, Lovász-softmax, distance to the teacher."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from explainer.fcn.network import STRIDES
from explainer.fcn.voc import IGNORE
from explainer.training.start import EVERY

OUTPUT_WEIGHTS = {32: 0.5, 16: 0.5, 8: 1.0}


@dataclass(frozen=True)
class Weights:
    """How much each term counts beside the cross-entropy."""

    teacher: float = 1.0
    lovasz: float = 0.0


def at_stride(sums: Tensor, stride: int, fine: int) -> Tensor:
    """Score maps (N, C, h, w) read at every `fine`-th pixel, interpolated as the output is."""
    if fine == stride:
        return sums
    if fine > stride:
        return sums[..., :: fine // stride, :: fine // stride]
    factor = stride // fine
    size = [(side - 1) * factor + 1 for side in sums.shape[-2:]]
    return F.interpolate(sums, size=size, mode="bilinear", align_corners=True)


def lovasz_softmax(scores: Tensor, labels: Tensor) -> Tensor:
    """The Lovász extension of 1 - IU, averaged over the classes present (Berman et al. 2018).

    Args:
        scores: (M, C) of M labelled pixels.
        labels: (M,).
    """
    probabilities = scores.float().softmax(1)
    losses = []
    for index in labels.unique():
        foreground = (labels == index).float()
        errors = (foreground - probabilities[:, index]).abs()
        errors, order = errors.sort(descending=True)
        foreground = foreground[order]
        missed = foreground.sum() - foreground.cumsum(0)
        union = foreground.sum() + (1 - foreground).cumsum(0)
        jaccard = 1 - missed / union
        losses.append((errors * torch.diff(jaccard, prepend=jaccard.new_zeros(1))).sum())
    return torch.stack(losses).mean() if losses else scores.sum() * 0


def loss(
    sums: Mapping[int, Tensor],
    labels: Tensor,
    soft: Tensor,
    weights: Weights,
    every: int = 4,
) -> tuple[Tensor, dict[str, float]]:
    """The total, and each output's cross-entropy for the log.

    The outputs are piecewise bilinear, so their values at every 4th pixel are cheap and exact;
    which pixels of the photo those are is left to the random crop (the paper's section 3.4:
    sampling the loss). The teacher counts where it agrees with the label or there is none.

    Args:
        sums: the scores of the three outputs, (N, C, h, w) by stride.
        labels: (N, H, W), 255 ignored.
        soft: (N, C, h, w), the teacher's probabilities at every 8th pixel.
        every: pixels from one counted pixel to the next.
    """
    counted = labels[:, ::every, ::every]
    total = torch.zeros((), device=labels.device)
    log = {}
    near = labels[:, ::EVERY, ::EVERY]
    # Beyond the photo the teacher's probabilities are zero, and so is the divergence.
    trusted = (near == IGNORE) | (soft.argmax(1) == near)
    for stride in STRIDES:
        scores = at_stride(sums[stride], stride, every).float()
        entropy = F.cross_entropy(scores, counted, ignore_index=IGNORE)
        log[f"{stride}s"] = float(entropy.detach())
        term = entropy
        if weights.teacher:
            divergence = F.kl_div(
                at_stride(sums[stride], stride, EVERY).float().log_softmax(1),
                soft,
                reduction="none",
            ).sum(1)
            term = term + weights.teacher * (divergence * trusted).mean()
        if weights.lovasz:
            # Sorting is dear and the measure is one of areas: a quarter of the pixels is enough.
            sparse = counted[:, ::2, ::2]
            known = sparse != IGNORE
            term = term + weights.lovasz * lovasz_softmax(
                scores[..., ::2, ::2].permute(0, 2, 3, 1)[known], sparse[known]
            )
        total = total + OUTPUT_WEIGHTS[stride] * term
    return total, log
