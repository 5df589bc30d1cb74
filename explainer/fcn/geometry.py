"""Where the cells of a map sit in the photo, and the upsampling that follows from it.

A strided network does not say where its cells are: that follows from kernel, stride and padding of
every layer on the way (Araujo, Norris & Sim, "Computing receptive fields of convolutional neural
networks", Distill 2019). Upsampling that ignores it shifts the output; here kernel and padding are
computed from the two lattices.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Lattice:
    """The places of a map's cells in the photo, the same for rows and columns.

    Attributes:
        stride: pixels from the centre of one cell to the next.
        first: pixel coordinate of the centre of cell 0; the centres of pixels are integers.
    """

    stride: int = 1
    first: float = 0.0

    def through(self, kernel: int, stride: int, padding: int, dilation: int = 1) -> "Lattice":
        """The lattice after one more convolution or pooling layer."""
        centre = dilation * (kernel - 1) / 2 - padding
        return Lattice(self.stride * stride, self.first + centre * self.stride)

    def cell(self, pixel: float) -> float:
        """The (fractional) cell at a pixel coordinate."""
        return (pixel - self.first) / self.stride

    def pixel(self, cell: float) -> float:
        """The pixel coordinate of a cell's centre; the inverse of `cell`."""
        return self.first + self.stride * cell


PIXELS = Lattice()
"""The photo itself."""


@dataclass(frozen=True)
class Upsampling:
    """The transposed convolution with a tent that interpolates bilinearly between two lattices."""

    kernel: int
    stride: int
    padding: int

    def tent(self, device: torch.device | str = "cpu") -> Tensor:
        """The kernel's weights in 1-D, shape (kernel,) fp32; the 2-D kernel is the outer product.

        Made on the device: a CUDA graph cannot capture a copy from this machine's memory.
        """
        taps = torch.arange(self.kernel, dtype=torch.float32, device=device)
        return 1 - (taps - (self.kernel - 1) / 2).abs() / self.stride


def bilinear_upsampling(coarse: Lattice, fine: Lattice) -> Upsampling:
    """Kernel, stride and padding that carry scores from a coarse lattice to a finer one.

    Cell u of the coarse map sits on cell f·u + shift of the fine one, f the ratio of the strides.
    Where shift is a whole number, the tent has a centre tap and 2f-1 taps (exact up to the border);
    where it is half a cell off, 2f taps (the release's kernels 4/2, 16/8, 32/16, 64/32).

    Raises:
        ValueError: the strides do not divide, or the shift is neither whole nor half a cell, or
            the padding would have to be negative (the coarse map starts inside the fine one).
    """
    factor, rest = divmod(coarse.stride, fine.stride)
    if rest or factor < 1:
        raise ValueError(
            f"the coarse stride must be a multiple of the fine one: {coarse.stride}, {fine.stride}"
        )
    shift = fine.cell(coarse.first)
    if float(2 * shift) != round(2 * shift):
        raise ValueError(f"cells must coincide or lie half a cell apart, not {shift % 1:g} apart")
    kernel = 2 * factor - 1 if float(shift).is_integer() else 2 * factor
    # Output cell of tap j of input u: f·u - padding + j; the centre tap (kernel-1)/2 must meet
    # f·u + shift.
    padding = (kernel - 1) / 2 - shift
    if padding < 0:
        raise ValueError(f"the coarse map starts {shift:g} cells inside the fine one: no tap there")
    return Upsampling(kernel, factor, int(padding))


def padded_size(size: int, stride: int = 32) -> int:
    """The smallest stride·n + 1 that is at least `size`, in pixels.

    With 3×3 kernels of stride 2 and padding 1, such a side gives maps of n+1, 2n+1, 4n+1 … cells
    whose first and last cells sit exactly on its first and last pixel.

    Raises:
        ValueError: size is below 1.
    """
    if size < 1:
        raise ValueError(f"a photo has at least one row and one column, not {size}")
    return stride * math.ceil((size - 1) / stride) + 1
