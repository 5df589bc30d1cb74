"""Kernels: tents that interpolate, phases of a kernel, kernels of composed layers, some by name."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explainer.ops.linear_map import LinearMap
from explainer.ops.settings import Setting, Shape, check
from explainer.ops.transposed import transposed_conv

Floats = NDArray[np.float64]


def outer(*rows: ArrayLike) -> Floats:
    """The product of a kernel for each axis: outer(a, b)[i, j] = a[i]·b[j]."""
    return reduce(np.multiply.outer, [np.asarray(row, np.float64) for row in rows])


# Bilinear upsampling as a transposed convolution


def tent_row(stride: int, align_corners: bool = False) -> tuple[Floats, int]:
    """The weights along one axis of the kernel that interpolates linearly, and its padding.

    With align_corners k = 2s−1 and p = s−1: n → (n−1)s + 1 cells, exact up to the border. Without
    it k = 2s − (s mod 2) and p = ⌈(s−1)/2⌉, as in Caffe's bilinear filler: n → n·s cells, exact in
    the interior; at the border zeros from outside are mixed in.

    Raises:
        SettingError: stride < 1.

    >>> tent_row(2)
    (array([0.25, 0.75, 0.75, 0.25]), 1)
    """
    check((), 1, stride=stride)
    odd = align_corners or stride % 2
    size = 2 * stride - 1 if odd else 2 * stride
    return _tent(size, stride), stride - 1 if align_corners else stride // 2


def _tent(size: int, slope: float) -> Floats:
    """1 in the middle, less by 1/slope with each cell."""
    return 1 - np.abs(np.arange(size) - (size - 1) / 2) / slope


def tent(stride: Setting, axes: int = 2, align_corners: bool = False) -> Floats:
    """The kernel that interpolates bilinearly, the product of `tent_row` for every axis.

    Raises:
        SettingError: stride < 1.

    >>> tent(2, align_corners=True).tolist()
    [[0.25, 0.5, 0.25], [0.5, 1.0, 0.5], [0.25, 0.5, 0.25]]
    """
    strides = check((), axes, stride=stride)["stride"]
    return outer(*(tent_row(s, align_corners)[0] for s in strides))


def tent_upsampling(
    input_shape: Sequence[int], stride: Setting, align_corners: bool = False
) -> LinearMap:
    """Bilinear upsampling as the transposed convolution with a tent.

    Compare `resample.bilinear`, which agrees everywhere with align_corners, and without it in the
    interior only.

    Raises:
        SettingError: stride < 1.
    """
    strides = check((), len(input_shape), stride=stride)["stride"]
    rows, paddings = zip(*(tent_row(s, align_corners) for s in strides), strict=True)
    return transposed_conv(input_shape, outer(*rows), strides, paddings)


# Phases: which taps of a kernel meet the same output cells


def phase_sums(kernel: ArrayLike, stride: Setting, dilation: Setting = 1) -> Floats:
    """The sum of the taps in each of the s × s phases of a kernel, shape stride.

    In a transposed convolution output cell o reads only the taps of phase (o + padding) mod s: on a
    constant input of 1 the interior prints these sums. Equal sums: no checkerboard, although the
    numbers of taps may differ (Sugawara, Shiota & Kiya, "Super-resolution using convolutional
    neural networks without any checkerboard artifacts", 2018).

    Raises:
        SettingError: stride < 1 or dilation < 1.

    >>> phase_sums([0.5, 1, 0.5], stride=2).tolist()
    [1.0, 1.0]
    """
    kernel = np.asarray(kernel, np.float64)
    found = check((), kernel.ndim, kernel=kernel.shape, stride=stride, dilation=dilation)
    phases = [
        np.arange(k) * d % s
        for k, s, d in zip(found["kernel"], found["stride"], found["dilation"], strict=True)
    ]
    sums = np.zeros(found["stride"])
    np.add.at(sums, np.ix_(*phases), kernel)
    return sums


def phase_counts(
    kernel_size: Setting, stride: Setting, dilation: Setting = 1, axes: int = 2
) -> NDArray[np.int64]:
    """How many taps each phase has, shape stride: the coverage pattern of the interior.

    Equal counts exactly when the stride divides the kernel's size on every axis, if dilation is 1.

    Raises:
        SettingError: a setting is below 1.

    >>> phase_counts(3, 2).tolist()
    [[4, 2], [2, 1]]
    """
    shape = check((), axes, kernel=kernel_size)["kernel"]
    return phase_sums(np.ones(shape), stride, dilation).astype(np.int64)


# Two layers as one


def composed_kernel(first: ArrayLike, stride: Setting, second: ArrayLike) -> Floats:
    """The kernel of a layer after another one: both together are one convolution.

    Long et al. (2015), section 3: kernel k after kernel k' with stride s' acts as one of
    k' + (k−1)s' taps, and strides multiply. It is the transposed convolution of the second kernel
    with the first: every tap of the second places a copy of the first.

    Args:
        first: the kernel that acts first; stride: its stride; second: the kernel after it.

    Raises:
        SettingError: stride < 1, or the kernels have different numbers of axes.

    >>> composed_kernel([1, 1, 1], 2, [1, 10]).tolist()
    [1.0, 1.0, 11.0, 10.0, 10.0]
    """
    second = np.asarray(second, np.float64)
    return transposed_conv(second.shape, first, stride)(second)


# Kernels by name


def ones(shape: Shape) -> Floats:
    """Every weight 1: the sum over the window."""
    return np.ones(shape)


def identity(shape: Shape) -> Floats:
    """1 in the centre, 0 elsewhere: the input again (Yu & Koltun 2016 start from it)."""
    kernel = np.zeros(shape)
    kernel[tuple(k // 2 for k in shape)] = 1
    return kernel


def edge(shape: Shape) -> Floats:
    """Cells minus the mean around, times their number: 8 in the middle of −1 for 3×3. Sum 0."""
    return np.prod(shape) * identity(shape) - ones(shape)


def blur(shape: Shape) -> Floats:
    """Binomial weights with sum 1: [¼, ½, ¼] along an axis of 3."""
    return outer(*([comb(k - 1, i) / 2 ** (k - 1) for i in range(k)] for k in shape))


def tent_like(shape: Shape) -> Floats:
    """A tent as wide as the kernel, 1 in the middle: [½, 1, ½] along an axis of 3."""
    return outer(*(_tent(k, (k + k % 2) / 2) for k in shape))


def random(shape: Shape, seed: int = 0) -> Floats:
    """Whole numbers from −3 to 3, the same for the same seed."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float64)


NAMED: Mapping[str, Callable[[Shape], Floats]] = {
    "ones": ones,
    "edge": edge,
    "blur": blur,
    "tent": tent_like,
    "identity": identity,
    "random": random,
}
"""Kernels of any shape, by the name on the page."""
