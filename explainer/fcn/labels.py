"""Labels from score maps, without the full-size score tensor."""

import torch
from torch import Tensor
from torch.nn import functional as F

from explainer.fcn.geometry import Lattice
from explainer.fcn.network import upsample

TILE = 8
"""Coarser maps are first brought to this stride: fewer pixels then lie in tiles with an outline."""


def label_map(scores: Tensor, stride: int, height: int, width: int) -> Tensor:
    """The argmax over classes of bilinearly upsampled scores: (C, h, w) to (height, width) uint8.

    Cell (i, j) sits on pixel (stride·i, stride·j). Between four neighbouring cells every score is
    a weighted mean of its values at the four; so where the same class wins at all four, it wins
    everywhere between them. Only tiles whose corners disagree (the outlines) are interpolated: the
    tensor of all classes at all pixels, which costs as much as the network, is never made.

    The lowest class wins ties.

    Raises:
        ValueError: the cells do not reach the last pixel.
    """
    classes, rows, columns = scores.shape
    if stride * (rows - 1) < height - 1 or stride * (columns - 1) < width - 1:
        raise ValueError(
            f"{rows}×{columns} cells of stride {stride} do not cover {height}×{width} pixels"
        )
    if stride > TILE and stride % TILE == 0:
        # A tent upsampled by a tent is the longer tent: the same interpolation in two steps.
        scores = upsample(scores[None], Lattice(stride), Lattice(TILE))[0]
        return label_map(scores, TILE, height, width)
    # One more row and column, so that the last cells too have a tile to their right and below.
    edged = F.pad(scores[None], (0, 1, 0, 1), mode="replicate")[0]
    winner = edged.argmax(0).to(torch.uint8)
    corners = [(slice(i, rows + i), slice(j, columns + j)) for i in (0, 1) for j in (0, 1)]
    first = winner[corners[0]]
    mixed = torch.zeros_like(first, dtype=torch.bool)
    for corner in corners[1:]:
        mixed |= winner[corner] != first
    tiles = first[:, :, None, None].expand(rows, columns, stride, stride).contiguous()
    values = torch.stack([edged[:, *corner][:, mixed] for corner in corners])  # (4, C, tiles)
    step = torch.arange(stride, device=scores.device) / stride
    ends = torch.stack((1 - step, step))
    weights = torch.einsum("ay,bx->yxab", ends, ends).reshape(stride * stride, 4).to(scores)
    inside = (weights @ values.reshape(4, -1)).reshape(stride, stride, classes, -1)
    tiles[mixed] = inside.argmax(2).permute(2, 0, 1).to(torch.uint8)
    full = tiles.permute(0, 2, 1, 3).reshape(rows * stride, columns * stride)
    return full[:height, :width].contiguous()


def label_maps(sums: dict[int, Tensor], height: int, width: int) -> dict[int, Tensor]:
    """The label map of each output from its sum, (C, h, w) by stride."""
    return {stride: label_map(scores, stride, height, width) for stride, scores in sums.items()}
