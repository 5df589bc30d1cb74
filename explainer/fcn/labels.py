"""Labels from score maps, without the full-size score tensor."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from explainer.fcn.geometry import Lattice
from explainer.fcn.network import upsample

TILE = 8
"""Coarser maps are first brought to this stride: fewer pixels then lie in tiles with an outline."""


def label_map(scores: Tensor, stride: int, height: int, width: int, first: float = 0.0) -> Tensor:
    """The argmax over classes of bilinearly upsampled scores: (C, h, w) to (height, width) uint8.

    Cell (i, j) sits on pixel (first + stride·i, first + stride·j). Between four neighbouring cells
    every score is a weighted mean of its values at the four; so where the same class wins at all
    four, it wins everywhere between them. Only tiles whose corners disagree (the outlines) are
    interpolated: the tensor of all classes at all pixels, which costs as much as the network, is
    never made.

    Where the cells begin inside the photo or end before its last pixel, the upsampling fades to
    zero: a factor that all classes share, and that leaves the argmax as it is at the nearest cells.

    The lowest class wins ties.

    Raises:
        ValueError: pixels at the border are out of reach of every cell.
    """
    lattice = Lattice(stride, first)
    classes, rows, columns = scores.shape
    before = math.floor(lattice.cell(0))
    below, right = (math.floor(lattice.cell(size - 1)) for size in (height, width))
    if lattice.cell(0) <= -1 or below >= rows or right >= columns:
        raise ValueError(
            f"{rows}×{columns} cells of stride {stride} from pixel {first:g} on do not cover "
            f"{height}×{width} pixels"
        )
    if stride > TILE and stride % TILE == 0:
        # A tent upsampled by a tent that keeps its cells is the longer tent: the same
        # interpolation in two steps. One cell more at each end takes the place of the fading.
        edged = F.pad(scores[None], (1, 1, 1, 1), mode="replicate")
        start = Lattice(stride, lattice.pixel(-1))
        finer = Lattice(TILE, start.first)
        return label_map(upsample(edged, start, finer)[0], TILE, height, width, finer.first)
    # Only the cells around the photo; pixel 0 lies in tile 0, which begins at most a stride before.
    scores = scores[:, max(before, 0) : below + 2, max(before, 0) : right + 2]
    if before < 0:
        scores = F.pad(scores[None], (1, 0, 1, 0), mode="replicate")[0]
    rows, columns = scores.shape[1:]
    start = lattice.pixel(before)
    skipped = -math.ceil(start)
    # One more row and column, so that the last cells too have a tile to their right and below.
    edged = F.pad(scores[None], (0, 1, 0, 1), mode="replicate")[0]
    winner = edged.argmax(0).to(torch.uint8)
    corners = [(slice(i, rows + i), slice(j, columns + j)) for i in (0, 1) for j in (0, 1)]
    top_left = winner[corners[0]]
    mixed = torch.zeros_like(top_left, dtype=torch.bool)
    for corner in corners[1:]:
        mixed |= winner[corner] != top_left
    tiles = top_left[:, :, None, None].expand(rows, columns, stride, stride).contiguous()
    values = torch.stack([edged[:, *corner][:, mixed] for corner in corners])  # (4, C, tiles)
    step = (torch.arange(stride, device=scores.device) - skipped - start) / stride
    ends = torch.stack((1 - step, step))
    weights = torch.einsum("ay,bx->yxab", ends, ends).reshape(stride * stride, 4).to(scores)
    inside = (weights @ values.reshape(4, -1)).reshape(stride, stride, classes, -1)
    tiles[mixed] = inside.argmax(2).permute(2, 0, 1).to(torch.uint8)
    full = tiles.permute(0, 2, 1, 3).reshape(rows * stride, columns * stride)
    return full[skipped : skipped + height, skipped : skipped + width].contiguous()


def label_maps(
    sums: Mapping[int, Tensor],
    height: int,
    width: int,
    lattices: Mapping[int, Lattice] | None = None,
) -> dict[int, Tensor]:
    """The label map of each output from its sum, (C, h, w) by stride.

    Args:
        lattices: where the cells of each sum sit; without them, cell 0 on pixel 0.
    """
    at = lattices or {stride: Lattice(stride) for stride in sums}
    return {
        stride: label_map(scores, at[stride].stride, height, width, at[stride].first)
        for stride, scores in sums.items()
    }


def dense_label_map(scores: Tensor, stride: int, height: int, width: int) -> Tensor:
    """The same argmax for a whole batch, every pixel interpolated: (N, C, h, w) to (N, H, W) uint8.

    What `label_map` saves is small change on a GPU, where its shapes, which depend on the scores,
    could not be captured in a graph. Cell 0 sits on pixel 0.

    Raises:
        ValueError: pixels are out of reach of the cells.
    """
    rows, columns = (stride * (cells - 1) + 1 for cells in scores.shape[2:])
    if height > rows or width > columns:
        raise ValueError(
            f"cells of stride {stride} that end at {rows}×{columns} pixels do not cover "
            f"{height}×{width}"
        )
    full = F.interpolate(scores, size=(rows, columns), mode="bilinear", align_corners=True)
    return full[:, :, :height, :width].argmax(1).to(torch.uint8)
