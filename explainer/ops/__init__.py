"""The operations of fully convolutional networks as sparse matrices between two grids.

    from explainer.ops import conv, transposed_conv

    A = conv((5, 5), kernel, stride=2, padding=1)   # a LinearMap
    A(x), A.T(y), A @ B                             # apply, transpose, compose
    A.reads((0, 1)), A.reaches((2, 2))              # links of an output cell, of an input cell
    A.coverage(), A.usage(), A.equation((0, 1))     # counts, and y12 = w11·x12 + …

NumPy and SciPy only.
"""

from explainer.ops.conv import conv, conv_channels, conv_input_gradient, conv_tf
from explainer.ops.grids import pad, pixel_shuffle, subsample, window, zero_insertion
from explainer.ops.kernels import composed_kernel, phase_counts, phase_sums, tent, tent_upsampling
from explainer.ops.linear_map import LinearMap, Link, compose
from explainer.ops.names import brief, letters, names, number
from explainer.ops.pooling import MaxPooling, avg_pool, avg_pool_tf, max_pool, sum_pool
from explainer.ops.receptive import (
    Field,
    Layer,
    effective_field,
    holes,
    layer_maps,
    reached,
    receptive_fields,
    stack_coverage,
)
from explainer.ops.resample import bicubic, bilinear, nearest
from explainer.ops.settings import SettingError
from explainer.ops.sizes import (
    conv_size,
    pool_size,
    same_padding,
    tf_size,
    tf_transposed_size,
    transposed_size,
)
from explainer.ops.transposed import (
    four_views,
    fractionally_strided_conv,
    largest_difference,
    overlap_add,
    transposed_conv,
    transposed_conv_tf,
)
from explainer.ops.unpooling import bed_of_nails, max_unpool, nearest_unpool

__all__ = [
    "Field",
    "Layer",
    "LinearMap",
    "Link",
    "MaxPooling",
    "SettingError",
    "avg_pool",
    "avg_pool_tf",
    "bed_of_nails",
    "bicubic",
    "bilinear",
    "brief",
    "compose",
    "composed_kernel",
    "conv",
    "conv_channels",
    "conv_input_gradient",
    "conv_size",
    "conv_tf",
    "effective_field",
    "four_views",
    "fractionally_strided_conv",
    "holes",
    "largest_difference",
    "layer_maps",
    "letters",
    "max_pool",
    "max_unpool",
    "names",
    "nearest",
    "nearest_unpool",
    "number",
    "overlap_add",
    "pad",
    "phase_counts",
    "phase_sums",
    "pixel_shuffle",
    "pool_size",
    "reached",
    "receptive_fields",
    "same_padding",
    "stack_coverage",
    "subsample",
    "sum_pool",
    "tent",
    "tent_upsampling",
    "tf_size",
    "tf_transposed_size",
    "transposed_conv",
    "transposed_conv_tf",
    "transposed_size",
    "window",
    "zero_insertion",
]
