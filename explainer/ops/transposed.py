"""Transposed convolution: the transpose of a convolution's matrix, in four views.

Dumoulin & Visin (2016), chapter 4; Long et al. (2015), section 3.3. The map goes to an uncropped
canvas of (n−1)s + d(k−1) + 1 cells, of which a frame is kept: `crop, canvas = transposed_conv(…)
.factors`. The frame starts `padding` cells inside and ends `padding − output_padding` cells before
the canvas does. So output_padding does not add zeros: it crops less. Only where it exceeds the
padding does the frame reach beyond the canvas, and there the output is empty: `coverage() == 0`.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explainer.ops.conv import conv_input_gradient, valid_conv
from explainer.ops.grids import pad, window, zero_insertion
from explainer.ops.linear_map import LinearMap, compose
from explainer.ops.settings import Setting, Shape
from explainer.ops.sizes import (
    Scheme,
    Settings,
    same_padding,
    span,
    tf_transposed_settings,
    transposed_settings,
)


def transposed_conv(
    input_shape: Sequence[int],
    kernel: ArrayLike,
    stride: Setting = 1,
    padding: Setting = 0,
    output_padding: Setting = 0,
    dilation: Setting = 1,
) -> LinearMap:
    """Transposed convolution as in PyTorch (`F.conv_transpose2d`), one channel.

    Args:
        input_shape: cells along each axis.
        kernel: the weights, as many axes as the input.
        stride, padding, output_padding, dilation: in cells, for all axes or one for each.

    Returns:
        The map; its factors are the crop and the map to the uncropped canvas.

    Raises:
        SettingError: the settings are impossible, such as output_padding not below both stride
            and dilation.

    >>> transposed_conv((2, 2), [[0, 1], [2, 3]])([[0, 1], [2, 3]]).astype(int).tolist()
    [[0, 0, 1], [0, 4, 6], [4, 12, 9]]
    """
    kernel = np.asarray(kernel, np.float64)
    s = transposed_settings(input_shape, kernel.shape, stride, padding, output_padding, dilation)
    return _framed(s, kernel, s["dilation"], s["padding"])


def transposed_conv_tf(
    input_shape: Sequence[int], kernel: ArrayLike, stride: Setting = 1, scheme: Scheme = "SAME"
) -> LinearMap:
    """Keras's Conv2DTranspose, one channel: SAME gives n·s cells, VALID (n−1)s + max(k, s).

    It is the transpose of TensorFlow's convolution from that many cells.

    Returns:
        The map; its factors are the crop and the map to the uncropped canvas.

    Raises:
        SettingError: the settings are impossible, or the scheme is neither SAME nor VALID.
    """
    kernel = np.asarray(kernel, np.float64)
    s = tf_transposed_settings(input_shape, kernel.shape, stride, scheme)
    axes = zip(s["output_size"], s["kernel"], s["stride"], strict=True)
    start = tuple(same_padding(*axis)[0] if scheme == "SAME" else 0 for axis in axes)
    return _framed(s, kernel, (1,) * len(start), start)


def _framed(
    settings: Settings, kernel: NDArray[np.float64], dilation: Shape, start: Shape
) -> LinearMap:
    """The map to the canvas, seen through a frame of output_size cells."""
    size, stride = settings["size"], settings["stride"]
    canvas_shape = tuple(
        (n - 1) * s + span(k, d)
        for n, k, s, d in zip(size, kernel.shape, stride, dilation, strict=True)
    )
    canvas = valid_conv(canvas_shape, kernel, stride, dilation).T
    return window(canvas_shape, start, settings["output_size"]) @ canvas


def fractionally_strided_conv(
    input_shape: Sequence[int],
    kernel: ArrayLike,
    stride: Setting = 1,
    padding: Setting = 0,
    output_padding: Setting = 0,
    dilation: Setting = 1,
) -> LinearMap:
    """The same map built another way: zeros between the cells, then the flipped kernel, stride 1.

    Dumoulin & Visin (2016), sections 4.5 and 4.6; "fractional input stride 1/2". Its rows are those
    of `transposed_conv`, with the same taps.

    Returns:
        The map; its factors are the convolution with the flipped kernel (whose taps are named as
        in the kernel given), the padding of d(k−1) − p cells on both sides and output_padding
        more after, and the zero insertion.

    Raises:
        SettingError: as in `transposed_conv`.
    """
    kernel = np.asarray(kernel, np.float64)
    s = transposed_settings(input_shape, kernel.shape, stride, padding, output_padding, dilation)
    insertion = zero_insertion(s["size"], s["stride"])
    before = [
        span(k, d) - 1 - p for k, d, p in zip(s["kernel"], s["dilation"], s["padding"], strict=True)
    ]
    after = [b + extra for b, extra in zip(before, s["output_padding"], strict=True)]
    embedding = pad(insertion.output_shape, before, after)
    ones = (1,) * len(before)
    flipped = valid_conv(embedding.output_shape, np.flip(kernel), ones, s["dilation"])
    flipped = replace(flipped, taps=kernel.size - 1 - flipped.taps)
    return compose(flipped, embedding, insertion)


def overlap_add(
    x: ArrayLike,
    kernel: ArrayLike,
    stride: Setting = 1,
    padding: Setting = 0,
    output_padding: Setting = 0,
    dilation: Setting = 1,
) -> NDArray[np.float64]:
    """Transposed convolution of x by its definition: a weighted copy of the kernel for each cell.

    Copies that overlap are added on the uncropped canvas, and the frame is cut out.

    Raises:
        SettingError: as in `transposed_conv`.
    """
    x, kernel = np.asarray(x, np.float64), np.asarray(kernel, np.float64)
    s = transposed_settings(x.shape, kernel.shape, stride, padding, output_padding, dilation)
    reach = [span(k, d) for k, d in zip(s["kernel"], s["dilation"], strict=True)]
    # Room for output_padding, so that the frame never leaves the array.
    canvas = np.zeros(
        [
            (n - 1) * step + r + extra
            for n, step, r, extra in zip(
                s["size"], s["stride"], reach, s["output_padding"], strict=True
            )
        ]
    )
    for cell in np.ndindex(x.shape):
        corner = [index * step for index, step in zip(cell, s["stride"], strict=True)]
        canvas[
            tuple(slice(c, c + r, d) for c, r, d in zip(corner, reach, s["dilation"], strict=True))
        ] += x[cell] * kernel
    return canvas[tuple(slice(p, n - p) for p, n in zip(s["padding"], canvas.shape, strict=True))]


def four_views(
    x: ArrayLike,
    kernel: ArrayLike,
    stride: Setting = 1,
    padding: Setting = 0,
    output_padding: Setting = 0,
    dilation: Setting = 1,
) -> dict[str, NDArray[np.float64]]:
    """The transposed convolution of x computed in four ways that share no step.

    Returns:
        Four equal arrays: "overlap-add" (copies of the kernel), "matrix" (the dense transposed
        matrix times x), "zero insertion" (the flipped kernel over the spread input), "gradient"
        (of the convolution that this transposes, by its input, x being the gradient by its
        output).

    Raises:
        SettingError: as in `transposed_conv`.
    """
    x = np.asarray(x, np.float64)
    settings = (stride, padding, output_padding, dilation)
    transposed = transposed_conv(x.shape, kernel, *settings)
    shape = transposed.output_shape
    return {
        "overlap-add": overlap_add(x, kernel, *settings),
        "matrix": (transposed.dense() @ x.ravel()).reshape(shape),
        "zero insertion": fractionally_strided_conv(x.shape, kernel, *settings)(x),
        "gradient": conv_input_gradient(shape, kernel, x, stride, padding, dilation),
    }


def largest_difference(views: dict[str, NDArray[np.float64]]) -> float:
    """The largest difference between any two of some equal-shaped arrays, cell by cell."""
    return float(np.ptp(np.stack(list(views.values())), axis=0).max())
