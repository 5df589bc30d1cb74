"""The fully convolutional network: one trunk, a score head a stride, one forward pass.

Long, Shelhamer & Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015,
section 4.2 (skips) and PAMI 2017. FCN-32s upsamples the stride-32 scores at once; FCN-16s first
adds the scores of the stride-16 features (the paper's pool4); FCN-8s those of stride 8 (pool3) too.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explainer.fcn.geometry import Lattice, bilinear_upsampling, padded_size
from explainer.fcn.mobilenet import CHANNELS, MobileNetV2, conv

STRIDES = (32, 16, 8)
"""Strides of the score maps, coarse to fine; also the names of the outputs FCN-32s, -16s, -8s."""


class Head(nn.Module):
    """A score head; its last layer may compute in another dtype than the layers before."""

    score: nn.Conv2d


class ContextHead(Head):
    """Scores from the last features and their average over the whole photo.

    As in the small variant of DeepLab v3 (Sandler et al. 2018, section 6.3; image-level features:
    Chen et al. 2017): (N, inputs, h, w) to (N, classes, h, w).
    """

    def __init__(self, inputs: int, hidden: int, classes: int):
        super().__init__()
        self.local = conv(inputs, hidden, 1)
        self.photo = conv(inputs, hidden, 1)
        self.join = conv(2 * hidden, hidden, 1)
        self.dropout = nn.Dropout2d(0.1)
        self.score = conv(hidden, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        local = F.relu(self.local(x))
        photo = F.relu(self.photo(x.mean((2, 3), keepdim=True))).expand_as(local)
        joined = F.relu(self.join(torch.cat((photo, local), 1)))
        return self.score(self.dropout(joined).to(self.score.weight.dtype))


class SkipHead(Head):
    """Scores from the features of a finer stride: 3×3 depthwise, 1×1, ReLU, 1×1.

    (N, inputs, h, w) to (N, classes, h, w). Starts at zero, as in the paper (section 4.2): the
    net with skips begins as the net without.
    """

    def __init__(self, inputs: int, hidden: int, classes: int):
        super().__init__()
        self.depthwise = conv(inputs, inputs, 3, groups=inputs)
        self.mix = conv(inputs, hidden, 1)
        self.score = conv(hidden, classes, 1)
        nn.init.zeros_(self.score.weight)
        assert self.score.bias is not None
        nn.init.zeros_(self.score.bias)

    def forward(self, x: Tensor) -> Tensor:
        mixed = F.relu(self.mix(self.depthwise(x)))
        return self.score(mixed.to(self.score.weight.dtype))


def upsample(
    scores: Tensor,
    coarse: Lattice,
    fine: Lattice,
    size: tuple[int, int] | None = None,
    weight: Tensor | None = None,
) -> Tensor:
    """Upsampling by a transposed convolution: (N, C, h, w) to finer.

    Kernel, stride and padding follow from the two lattices.

    Args:
        size: rows and columns of the result, from the fine lattice's cell 0 on, as Caffe's crop
            cuts them out; None: the padding is cut off at both ends, as PyTorch does.
        weight: (C, C, k, k); None: the fixed bilinear ones, each channel by itself.
    """
    up = bilinear_upsampling(coarse, fine)
    groups = 1
    if weight is None:
        groups = scores.shape[1]
        tent = up.tent(scores.device)
        weight = torch.outer(tent, tent).expand(groups, 1, up.kernel, up.kernel)
    weight = weight.to(scores)
    if size is None:
        return F.conv_transpose2d(
            scores, weight, stride=up.stride, padding=up.padding, groups=groups
        )
    whole = F.conv_transpose2d(scores, weight, stride=up.stride, groups=groups)
    rows, columns = size
    return whole[..., up.padding : up.padding + rows, up.padding : up.padding + columns]


def fuse(scores: Mapping[int, Tensor], lattices: Mapping[int, Lattice]) -> dict[int, Tensor]:
    """The sums of the skip architecture, by stride: each is 2× the coarser sum plus the own scores.

    Args:
        scores: (N, C, h, w) by stride, what each head adds.
        lattices: where their cells sit.

    Raises:
        ValueError: a map does not have the size that the coarser one has after upsampling.
    """
    sums: dict[int, Tensor] = {}
    coarser: int | None = None
    for stride in sorted(scores, reverse=True):
        own = scores[stride]
        if coarser is not None:
            below = upsample(sums[coarser], lattices[coarser], lattices[stride])
            if below.shape[-2:] != own.shape[-2:]:
                raise ValueError(
                    f"the scores at stride {stride} have {tuple(own.shape[-2:])} cells, those of "
                    f"stride {coarser} upsampled {tuple(below.shape[-2:])}: pad the photo to "
                    f"{max(scores)}·n + 1 pixels a side"
                )
            own = below + own
        sums[stride] = own
        coarser = stride
    return sums


def pad(photos: Tensor, stride: int = 32) -> Tensor:
    """Zeros (mid grey) to the right and below: (N, 3, H, W) to (N, 3, 32n+1, 32m+1)."""
    height, width = photos.shape[-2:]
    return F.pad(
        photos, (0, padded_size(width, stride) - width, 0, padded_size(height, stride) - height)
    )


class FCN(nn.Module):
    """Trunk and heads: photos (N, 3, 32n+1, 32m+1) to score maps by stride.

    Args:
        trunk: gives features by stride, and has `lattices`.
        heads: a score head for each stride.
    """

    def __init__(self, trunk: nn.Module, heads: Mapping[int, nn.Module]):
        super().__init__()
        self.trunk = trunk
        self.heads = nn.ModuleDict({str(stride): heads[stride] for stride in heads})

    @property
    def lattices(self) -> dict[int, Lattice]:
        """Where the cells of each score map sit in the photo."""
        lattices: dict[int, Lattice] = self.trunk.lattices  # pyright: ignore
        return {int(stride): lattices[int(stride)] for stride in self.heads}

    def score(self, features: Mapping[int, Tensor]) -> dict[int, Tensor]:
        """Score maps (N, classes, h, w) by stride from the trunk's features."""
        return {int(stride): head(features[int(stride)]) for stride, head in self.heads.items()}

    def forward(self, photos: Tensor) -> dict[int, Tensor]:
        return self.score(self.trunk(photos))


def small_fcn(classes: int = 21) -> FCN:
    """The network of the bundled weights: MobileNetV2 with heads at strides 32, 16 and 8."""
    return FCN(
        MobileNetV2(),
        {
            32: ContextHead(CHANNELS[32], 256, classes),
            16: SkipHead(CHANNELS[16], 256, classes),
            8: SkipHead(CHANNELS[8], 128, classes),
        },
    )
