"""Convolution (cross-correlation, as in PyTorch, TensorFlow and Keras) as a sparse matrix.

Dumoulin & Visin (2016), chapter 2 and section 5.1. A padded convolution is a valid one on the
padded grid after an embedding: `valid, embedding = conv(…).factors`. Cells of the padded grid that
are padding are those that the embedding leaves empty: `embedding.coverage() == 0`; cells that no
window reads, because the stride does not fit, are those with `usage() == 0`.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from explainer.ops.grids import pad
from explainer.ops.linear_map import Axis, LinearMap, from_axes
from explainer.ops.settings import Setting, SettingError, Shape
from explainer.ops.sizes import Scheme, Settings, conv_settings, same_padding, span, tf_settings


def conv(
    input_shape: Sequence[int],
    kernel: ArrayLike,
    stride: Setting = 1,
    padding: Setting = 0,
    dilation: Setting = 1,
) -> LinearMap:
    """Convolution as in PyTorch (`F.conv1d`, `F.conv2d`), one channel.

    Args:
        input_shape: cells along each axis.
        kernel: the weights, as many axes as the input.
        stride, padding, dilation: in cells, for all axes or one for each.

    Returns:
        The map; its factors are the valid map on the padded grid and the embedding.

    Raises:
        SettingError: the settings are impossible, such as a kernel larger than the padded input.

    >>> conv((4, 4), np.ones((3, 3)), padding=1).output_shape
    (4, 4)
    """
    kernel = np.asarray(kernel, np.float64)
    s = conv_settings(input_shape, kernel.shape, stride, padding, dilation)
    return padded_conv(s["size"], kernel, s["stride"], s["dilation"], s["padding"], s["padding"])


def conv_tf(
    input_shape: Sequence[int],
    kernel: ArrayLike,
    stride: Setting = 1,
    dilation: Setting = 1,
    scheme: Scheme = "SAME",
) -> LinearMap:
    """Convolution as in TensorFlow, one channel: padding by scheme, the odd cell after.

    Returns:
        The map; its factors are the valid map on the padded grid and the embedding.

    Raises:
        SettingError: the settings are impossible, or the scheme is neither SAME nor VALID.
    """
    kernel = np.asarray(kernel, np.float64)
    s = tf_settings(input_shape, kernel.shape, stride, dilation, scheme)
    before, after = scheme_padding(s, scheme)
    return padded_conv(s["size"], kernel, s["stride"], s["dilation"], before, after)


def conv_channels(
    input_shape: Sequence[int],
    kernel: ArrayLike,
    stride: Setting = 1,
    padding: Setting = 0,
    dilation: Setting = 1,
) -> LinearMap:
    """Convolution over stacked channels: (C, H, W) to (D, H', W'), summed over C.

    Args:
        input_shape: channels first.
        kernel: (D, C, …): one kernel for each pair of output and input channel.
        stride, padding, dilation: in cells, for all axes after the channels, or one for each.

    Returns:
        The map; its factors are the valid map on the padded grid and the embedding.

    Raises:
        SettingError: the settings are impossible, or the kernel is not for these channels.
    """
    kernel = np.asarray(kernel, np.float64)
    if not input_shape or kernel.ndim != len(input_shape) + 1:
        raise SettingError(
            "kernel",
            "must have one axis more than the input: output channels, input channels, and its own",
            {"kernel": kernel.shape, "input": tuple(input_shape)},
            (),
        )
    outputs, inputs = kernel.shape[:2]
    if inputs != input_shape[0]:
        raise SettingError(
            "kernel_channels",
            "must be as many as the channels of the input",
            {"kernel_channels": inputs, "channels": input_shape[0]},
            [{"kernel_channels": input_shape[0]}, {"channels": inputs}],
        )
    s = conv_settings(input_shape[1:], kernel.shape[2:], stride, padding, dilation)
    embedding = pad(input_shape, (0, *s["padding"]), (0, *s["padding"]))
    channels = Axis(
        inputs,
        outputs,
        outputs * inputs,
        np.repeat(np.arange(outputs), inputs),
        np.tile(np.arange(inputs), outputs),
        np.arange(outputs * inputs),
    )
    axes = conv_axes(embedding.output_shape[1:], kernel.shape[2:], s["stride"], s["dilation"])
    return from_axes([channels, *axes], kernel) @ embedding


def conv_input_gradient(
    input_shape: Sequence[int],
    kernel: ArrayLike,
    upstream: ArrayLike,
    stride: Setting = 1,
    padding: Setting = 0,
    dilation: Setting = 1,
) -> NDArray[np.float64]:
    """The gradient of a loss by the input of a convolution, tap by tap as frameworks compute it.

    "Backward convolution": equal to the transpose of the map, `conv(…).T(upstream)`.

    Args:
        upstream: the gradient by the outputs; trailing outputs without one may be left out.

    Returns:
        ∂L/∂x, shape input_shape.

    Raises:
        SettingError: the settings are impossible.
    """
    kernel, upstream = np.asarray(kernel, np.float64), np.asarray(upstream, np.float64)
    s = conv_settings(input_shape, kernel.shape, stride, padding, dilation)
    padded = np.zeros([n + 2 * p for n, p in zip(s["size"], s["padding"], strict=True)])
    for tap in np.ndindex(kernel.shape):
        # Output o read padded cell o·s + tap·d with this weight.
        read = tuple(
            slice(t * d, t * d + (count - 1) * step + 1, step)
            for t, d, step, count in zip(
                tap, s["dilation"], s["stride"], upstream.shape, strict=True
            )
        )
        padded[read] += kernel[tap] * upstream
    return padded[tuple(slice(p, p + n) for p, n in zip(s["padding"], s["size"], strict=True))]


def padded_conv(
    input_shape: Shape,
    kernel: NDArray[np.float64],
    stride: Shape,
    dilation: Shape,
    before: Sequence[int],
    after: Sequence[int],
) -> LinearMap:
    """Convolution with padding of its own on every side; the settings must be valid."""
    embedding = pad(input_shape, before, after)
    return valid_conv(embedding.output_shape, kernel, stride, dilation) @ embedding


def valid_conv(
    input_shape: Shape, kernel: NDArray[np.float64], stride: Shape, dilation: Shape
) -> LinearMap:
    """Convolution without padding; the settings must be valid."""
    return from_axes(conv_axes(input_shape, kernel.shape, stride, dilation), kernel)


def conv_axes(
    input_shape: Sequence[int], kernel_shape: Shape, stride: Shape, dilation: Shape
) -> list[Axis]:
    """The links along each axis: output o reads input o·s + t·d with tap t."""
    axes = []
    for n, k, s, d in zip(input_shape, kernel_shape, stride, dilation, strict=True):
        outputs = (n - span(k, d)) // s + 1
        output, tap = np.divmod(np.arange(outputs * k), k)
        axes.append(Axis(n, outputs, k, output, output * s + tap * d, tap))
    return axes


def scheme_padding(settings: Settings, scheme: Scheme) -> tuple[Shape, Shape]:
    """TensorFlow's padding before and after, for each axis, of checked settings."""
    names = ("size", "kernel", "stride", "dilation")
    if scheme == "VALID":
        none = (0,) * len(settings["size"])
        return none, none
    both = [same_padding(*axis) for axis in zip(*(settings[n] for n in names), strict=True)]
    return tuple(before for before, _ in both), tuple(after for _, after in both)
