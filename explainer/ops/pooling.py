"""Pooling: sums, averages and maxima over windows.

Sum and average pooling are convolutions with equal weights. Max pooling is not linear, but at a
given input it is a selection: the map that copies each window's maximum. Its transpose is max
pooling's gradient, and, where no two windows choose the same cell, max unpooling (see unpooling).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explainer.ops.conv import padded_conv, scheme_padding
from explainer.ops.linear_map import LinearMap
from explainer.ops.settings import Setting
from explainer.ops.sizes import Scheme, Settings, pool_settings, span, tf_settings


def sum_pool(
    input_shape: Sequence[int],
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    dilation: Setting = 1,
    ceil_mode: bool = False,
) -> LinearMap:
    """The sum over each window: a convolution with ones. Its links are the windows of max pooling.

    Args:
        input_shape: cells along each axis.
        kernel_size, stride, padding, dilation: in cells, for all axes or one for each; the stride
            is the kernel's size if not given.
        ceil_mode: whether a last window may hang over the end.

    Returns:
        The map; its factors are the map on the padded grid and the embedding.

    Raises:
        SettingError: the settings are impossible, such as padding over half a window.
    """
    s = _settings(input_shape, kernel_size, stride, padding, dilation, ceil_mode)
    # The padded grid ends with the padding or, in ceil mode, with the last window.
    after = tuple(
        max(p, (o - 1) * step + span(k, d) - n - p)
        for o, step, k, d, n, p in zip(
            *(s[name] for name in ("output_size", "stride", "kernel", "dilation", "size")),
            s["padding"],
            strict=True,
        )
    )
    ones = np.ones(s["kernel"])
    return padded_conv(s["size"], ones, s["stride"], s["dilation"], s["padding"], after)


def avg_pool(
    input_shape: Sequence[int],
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> LinearMap:
    """The average over each window, as `F.avg_pool2d`.

    Args:
        count_include_pad: whether padding counts as cells with value 0 (what hangs over beyond the
            padding in ceil mode never counts).
        The others: as in `sum_pool`.

    Returns:
        The map; its factors are the map on the padded grid and the embedding. The division is in
        its values: its kernel is that of the sum, ones.

    Raises:
        SettingError: the settings are impossible.
    """
    total = sum_pool(input_shape, kernel_size, stride, padding, ceil_mode=ceil_mode)
    if not count_include_pad:
        return _divided(total, total.coverage())
    s = _settings(input_shape, kernel_size, stride, padding, 1, ceil_mode)
    counts = np.ones((), np.int64)
    for o, step, k, n, p in zip(
        *(s[name] for name in ("output_size", "stride", "kernel", "size", "padding")), strict=True
    ):
        starts = np.arange(o) * step
        counts = np.multiply.outer(counts, np.minimum(starts + k, n + 2 * p) - starts)
    return _divided(total, counts)


def avg_pool_tf(
    input_shape: Sequence[int],
    kernel_size: Setting,
    stride: Setting | None = None,
    scheme: Scheme = "VALID",
) -> LinearMap:
    """The average over each window as in TensorFlow, where padding never counts.

    Returns:
        The map; its factors are the map on the padded grid and the embedding.

    Raises:
        SettingError: the settings are impossible, or the scheme is neither SAME nor VALID.
    """
    stride = kernel_size if stride is None else stride
    s = tf_settings(input_shape, kernel_size, stride, 1, scheme)
    before, after = scheme_padding(s, scheme)
    total = padded_conv(s["size"], np.ones(s["kernel"]), s["stride"], s["dilation"], before, after)
    return _divided(total, total.coverage())


@dataclass(frozen=True)
class MaxPooling:
    """What max pooling does at one input.

    Attributes:
        values: the maxima, shape output_shape.
        positions: the flat input cell of each maximum, shape output_shape; PyTorch's indices.
        windows: the map whose links are all cells that are compared.
        selection: the map that copies the maxima, its taps their places in the windows; its
            transpose is the gradient.
    """

    values: NDArray[np.float64]
    positions: NDArray[np.intp]
    windows: LinearMap
    selection: LinearMap


def max_pool(
    x: ArrayLike,
    kernel_size: Setting,
    stride: Setting | None = None,
    padding: Setting = 0,
    dilation: Setting = 1,
    ceil_mode: bool = False,
) -> MaxPooling:
    """The largest value of each window and where it is, as `F.max_pool2d(return_indices=True)`.

    Of equal values the first wins, row by row, as in PyTorch. Padding never wins.

    Args:
        x: the input grid; every axis is pooled.
        The others: as in `sum_pool`.

    Raises:
        SettingError: the settings are impossible, or a window would see padding alone.
        ValueError: x holds nan, which is neither larger nor smaller than anything.
    """
    x = np.asarray(x, np.float64)
    if np.isnan(x).any():
        raise ValueError("max pooling compares values, and nan cannot be compared")
    windows = sum_pool(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    compared = x.ravel()[windows.cols]
    values = np.maximum.reduceat(compared, windows.starts[:-1])
    equal = np.flatnonzero(compared == values[windows.rows])
    rows, first = np.unique(windows.rows[equal], return_index=True)
    chosen = equal[first]
    selection = LinearMap.from_links(
        x.shape,
        windows.output_shape,
        rows,
        windows.cols[chosen],
        np.ones(len(rows)),
        taps=windows.taps[chosen],
        kernel_shape=windows.kernel_shape,
    )
    shape = windows.output_shape
    return MaxPooling(
        values.reshape(shape), selection.cols.astype(np.intp).reshape(shape), windows, selection
    )


def _settings(
    size: Sequence[int],
    kernel_size: Setting,
    stride: Setting | None,
    padding: Setting,
    dilation: Setting,
    ceil_mode: bool,
) -> Settings:
    stride = kernel_size if stride is None else stride
    return pool_settings(size, kernel_size, stride, padding, dilation, ceil_mode=ceil_mode)


def _divided(total: LinearMap, counts: NDArray) -> LinearMap:
    """Every output divided by its count, shape output_shape."""
    padded, embedding = total.factors
    values = padded.values / counts.ravel()[padded.rows]
    return replace(padded, values=values) @ embedding
