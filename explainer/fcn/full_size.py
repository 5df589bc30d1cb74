"""Labels at a photo's own size, where the network saw it smaller.

Enlarging a label map would give steps as wide as a pixel that the network saw. The scores are known
everywhere between the cells, so they can as well be read at the photo's own pixels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from explainer.fcn.geometry import Lattice
from explainer.fcn.labels import TILE
from explainer.fcn.result import Segmentation

BLOCK_BYTES = 2**25
"""Scores of all classes that are interpolated at once."""


def labels_of_photo(result: Segmentation, stride: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The labels of an output at the size (height, width) of the photo itself.

    Raises:
        KeyError: no output of that stride.
        ValueError: a side of size is below 1.
    """
    seen = result.height, result.width
    if size == seen:
        return result.labels[stride]
    scores = result.sums[stride]
    with torch.inference_mode():
        return labels_at(torch.from_numpy(scores.values), scores.lattice, seen, size).numpy()


def labels_at(
    scores: Tensor, lattice: Lattice, seen: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """The argmax over classes of interpolated scores at the pixels of a photo: size, uint8.

    Pixels are squares: the centre of pixel Y of H lies at (Y + ½)·h/H - ½ of the h pixels that the
    network saw. Between four neighbouring cells every score is a weighted mean of its values at the
    four; so where the same class wins at all four, it wins everywhere between them, and only the
    other tiles are interpolated (as in `labels.label_map`). Beyond the outermost cells their scores
    are kept. The lowest class wins ties.

    Args:
        scores: (C, h, w).
        lattice: where their cells sit in the photo as the network saw it.
        seen: (height, width) of that.
        size: (height, width) of the photo itself.

    Raises:
        ValueError: a side of size is below 1.
    """
    if min(size) < 1:
        raise ValueError(f"size is {size}; a label map needs at least 1 pixel on a side")
    classes, rows, columns = scores.shape
    factor = lattice.stride // TILE if lattice.stride % TILE == 0 else 1
    if factor > 1:
        # Cells in between, where the scores are known just as well: fewer pixels then lie in tiles
        # with an outline.
        rows, columns = factor * (rows - 1) + 1, factor * (columns - 1) + 1
        between = {"mode": "bilinear", "align_corners": True}
        scores = F.interpolate(scores[None], size=(rows, columns), **between)[0]
        lattice = Lattice(TILE, lattice.first)
    # One more row and column, so that the last cells too have a tile to their right and below.
    edged = F.pad(scores[None], (0, 1, 0, 1), mode="replicate")[0]
    across = [slice(j, columns + j) for j in (0, 1)]
    corners = [(slice(i, rows + i), part) for i in (0, 1) for part in across]
    winner = edged.argmax(0).to(torch.uint8)
    mixed = torch.zeros((rows, columns), dtype=torch.bool)
    for corner in corners[1:]:
        mixed |= winner[corner] != winner[corners[0]]
    vertical = _Axis(rows, lattice, seen[0], size[0])
    horizontal = _Axis(columns, lattice, seen[1], size[1])
    full = winner[vertical.tile][:, horizontal.tile]
    one = 4 * classes * vertical.weights.shape[1] * horizontal.weights.shape[1]
    for some in mixed.nonzero().split(max(1, BLOCK_BYTES // one)):
        row, column = some.T
        values = torch.stack([edged[:, *corner][:, row, column] for corner in corners])
        values = values.permute(2, 1, 0).unflatten(2, (2, 2))  # tile, class, row, column
        values = torch.einsum("tcab,txb->tcax", values, horizontal.weights[column])
        values = torch.einsum("tcax,tya->tcyx", values, vertical.weights[row])
        inside = values.argmax(1).to(torch.uint8)
        for labels, (i, j) in zip(inside, some.tolist(), strict=True):
            place = full[vertical.pixels(i), horizontal.pixels(j)]
            place.copy_(labels[: place.shape[0], : place.shape[1]])
    return full


class _Axis:
    """Which pixels of the photo lie in which tile, along one side.

    Attributes:
        tile: the tile of each pixel.
        weights: (tiles, most pixels in one, 2), the weights of both ends of a tile at its pixels;
            tiles with fewer pixels have some to spare.
    """

    def __init__(self, cells: int, lattice: Lattice, seen: int, size: int) -> None:
        centre = (torch.arange(size, dtype=torch.float64) + 0.5) * seen / size - 0.5
        position = ((centre - lattice.first) / lattice.stride).clamp(0, cells - 1)
        self.tile = position.long()
        start = torch.searchsorted(self.tile, torch.arange(cells + 1))
        spread = torch.arange(int(start.diff().max()))
        inside = (start[:-1, None] + spread).clamp(max=size - 1)
        along = position[inside] - torch.arange(cells)[:, None]
        self.weights = torch.stack((1 - along, along), 2).float()
        self._start: list[int] = start.tolist()

    def pixels(self, tile: int) -> slice:
        """The pixels in a tile."""
        return slice(self._start[tile], self._start[tile + 1])
