"""What a deep unit sees: in closed form, and as the support and the values of a product of maps.

Long et al. (2015), section 3; Dumoulin & Visin (2016); Luo et al., "Understanding the effective
receptive field" (2016). Layers are described along one axis, first layer first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from explainer.ops.conv import conv
from explainer.ops.linear_map import Cell, LinearMap, check_chain, flat_cell
from explainer.ops.settings import check
from explainer.ops.sizes import span


@dataclass(frozen=True)
class Layer:
    """A convolution or pooling, along one axis, in cells.

    Raises:
        SettingError: kernel, stride or dilation < 1, or padding < 0.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    name: str = ""

    def __post_init__(self) -> None:
        names = ("kernel", "stride", "padding", "dilation")
        found = check((), 1, **{name: getattr(self, name) for name in names})
        for name in names:
            object.__setattr__(self, name, found[name][0])  # NumPy's whole numbers overflow


@dataclass(frozen=True)
class Field:
    """The receptive fields of a layer's units, along one axis, in input pixels.

    Attributes:
        size: pixels from the first to the last that a unit can see, both counted.
        stride: pixels from one unit's field to the next one's.
        left: the first pixel of unit 0's field; negative where it begins in the padding.
    """

    size: int = 1
    stride: int = 1
    left: int = 0

    @property
    def centre(self) -> float:
        """The middle of unit 0's field; that of unit u is centre + u·stride."""
        return self.left + (self.size - 1) / 2

    def of(self, unit: int) -> range:
        """The pixels that a unit can see, those in the padding among them."""
        start = self.left + unit * self.stride
        return range(start, start + self.size)

    def through(self, layer: Layer) -> "Field":
        """The fields after one more layer."""
        return Field(
            self.size + (span(layer.kernel, layer.dilation) - 1) * self.stride,
            self.stride * layer.stride,
            self.left - layer.padding * self.stride,
        )


def receptive_fields(layers: Iterable[Layer]) -> tuple[Field, ...]:
    """The fields after every layer: r = 1 + Σ d(k−1)·Π s of the layers before.

    >>> [field.size for field in receptive_fields([Layer(3), Layer(3, dilation=2)])]
    [3, 7]
    """
    return tuple(accumulate(layers, Field.through, initial=Field()))[1:]


def composed(first: Layer, second: Layer) -> Layer:
    """Two layers as one: kernel k' + (k−1)s' and stride s·s' (Long et al. 2015, section 3).

    Its padding, p' + p·s', holds where the field is concerned; values at the border differ if the
    second layer pads, because its zeros are not outputs of the first.

    >>> composed(Layer(3, stride=2), Layer(3))
    Layer(kernel=7, stride=2, padding=0, dilation=1, name='')
    """
    field = Field().through(first).through(second)
    return Layer(field.size, field.stride, -field.left)


def without_stride(layers: Sequence[Layer], place: int) -> tuple[Layer, ...]:
    """The stack with one layer's stride removed and all later layers dilated by it instead.

    The à trous trick (Chen et al., DeepLab, 2015): every old output is still there, and the units
    between them are computed too, with no weight changed.
    """
    stride = layers[place].stride
    later = (
        replace(layer, dilation=layer.dilation * stride, padding=layer.padding * stride)
        for layer in layers[place + 1 :]
    )
    return (*layers[:place], replace(layers[place], stride=1), *later)


def parameters(layers: Sequence[Layer], widths: Sequence[int] | None = None, axes: int = 2) -> int:
    """Weights of a stack of convolutions without biases: Σ kernel^axes · channels in · out.

    Args:
        widths: channels before the first layer and after every layer; 1 everywhere by default.
    """
    widths = [1] * (len(layers) + 1) if widths is None else widths
    return sum(
        layer.kernel**axes * before * after
        for layer, before, after in zip(layers, widths[:-1], widths[1:], strict=True)
    )


# The same from maps: any maps, first to act first


def layer_maps(layers: Iterable[Layer], size: int) -> tuple[LinearMap, ...]:
    """The maps of a stack along one axis, for an input of `size` cells, with weights 1.

    Raises:
        SettingError: a layer's kernel does not fit.
    """
    maps: list[LinearMap] = []
    for layer in layers:
        here = maps[-1].output_shape[0] if maps else size
        weights = np.ones(layer.kernel)
        maps.append(conv((here,), weights, layer.stride, layer.padding, layer.dilation))
    return tuple(maps)


def effective_field(maps: Sequence[LinearMap], cell: Cell) -> NDArray[np.float64]:
    """The weight of every input cell in an output cell, shape of the first map's input.

    One row times the matrices, last map first: the product of the maps is never formed.

    Args:
        maps: first to act first, each map's output the next one's input.

    Raises:
        SettingError: the grids between two maps differ, or there is no map.
        IndexError: the last map's output has no such cell.
    """
    row = _one_cell(maps, cell)
    for layer in reversed(maps):
        row = row @ layer.matrix
    return row.reshape(maps[0].input_shape)


def reached(maps: Sequence[LinearMap], cell: Cell) -> NDArray[np.bool_]:
    """Which input cells an output cell sees, whatever the weights, shape of the first map's input.

    Args:
        maps: first to act first, each map's output the next one's input.

    Raises:
        SettingError: the grids between two maps differ, or there is no map.
        IndexError: the last map's output has no such cell.
    """
    seen = _one_cell(maps, cell) > 0
    for layer in reversed(maps):
        seen = seen @ layer.structure > 0
    return seen.reshape(maps[0].input_shape)


def _one_cell(maps: Sequence[LinearMap], cell: Cell) -> NDArray[np.float64]:
    """1 at an output cell and 0 elsewhere, flat."""
    check_chain(maps)
    row = np.zeros(maps[-1].shape[0])
    row[flat_cell(cell, maps[-1].output_shape)] = 1
    return row


def stack_coverage(maps: Sequence[LinearMap]) -> NDArray[np.int64]:
    """How many paths lead from the input to each output cell, shape of the last map's output.

    The checkerboard of a stack of transposed convolutions.

    Args:
        maps: first to act first, each map's output the next one's input.

    Raises:
        SettingError: the grids between two maps differ, or there is no map.
    """
    check_chain(maps)
    paths = np.ones(maps[0].input_shape, np.int64).ravel()
    for layer in maps:
        paths = layer.structure @ paths
    return paths.reshape(maps[-1].output_shape)


def holes(seen: NDArray[np.bool_]) -> int:
    """How many cells between the first and the last seen one are not seen, along one axis.

    >>> holes(np.array([False, True, False, True]))
    1
    """
    places = np.flatnonzero(seen)
    return int(np.ptp(places)) + 1 - len(places) if len(places) else 0
