"""Every worked number of the lectures on convolution, pooling, upsampling and dilation.

D1 Machine Perception, D2 From FCN to DeepLab v3+, D3 FCN from the convolutional autoencoder,
D4 CNNs for dense image labelling, D5 FCN, CVPR 2015.
"""

import numpy as np
import pytest

from explainer.ops import (
    Layer,
    bed_of_nails,
    composed_kernel,
    conv,
    conv_input_gradient,
    conv_size,
    conv_tf,
    four_views,
    fractionally_strided_conv,
    largest_difference,
    letters,
    max_pool,
    max_unpool,
    names,
    nearest_unpool,
    receptive_fields,
    stack_coverage,
    subsample,
    tent,
    tf_transposed_size,
    transposed_conv,
    transposed_size,
)
from explainer.ops.kernels import identity
from explainer.ops.receptive import composed, parameters
from explainer.ops.stacks import CONTEXT_MODULE, CONTEXT_WIDTHS

# B. Convolution arithmetic


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "padding", "expected"), [(4, 3, 1, 1, 4), (4, 3, 2, 1, 2)]
)
def test_sizes_of_d1(n, kernel, stride, padding, expected):
    assert conv_size(n, kernel, stride, padding) == expected
    shape = (expected, expected)
    assert conv((n, n), np.ones((kernel, kernel)), stride, padding).output_shape == shape


@pytest.mark.parametrize(
    ("scheme", "stride", "expected"),
    [("VALID", 1, 2), ("VALID", 2, 1), ("SAME", 1, 4), ("SAME", 2, 2)],
)
def test_tensorflow_of_d3(scheme, stride, expected):
    shape = (expected, expected)
    assert conv_tf((4, 4), np.ones((3, 3)), stride, scheme=scheme).output_shape == shape


def test_the_matrix_of_d4():
    layer = conv((4, 4), np.ones((3, 3)))
    assert layer.shape == (4, 16)
    rows = [[f"w{row}1", f"w{row}2", f"w{row}3", "0"] for row in (1, 2, 3)]
    first = [*rows[0], *rows[1], *rows[2], "0", "0", "0", "0"]
    symbols = layer.symbols().tolist()
    assert symbols[0] == first
    assert symbols[1] == ["0", *first[:-1]]
    assert symbols[2] == ["0"] * 4 + first[:-4]
    assert symbols[3] == ["0"] * 5 + first[:-5]
    assert layer.equation((0, 0), output="z").startswith("z11 = w11·x11 + w12·x12 + w13·x13")


def test_the_two_matrices_of_d2():
    """D2 prints x y x in the first one, where x y z must stand."""
    taps = np.array(["x", "y", "z"], object)
    one, _ = conv((4,), np.ones(3), 1, 1).factors
    two, _ = conv((4,), np.ones(3), 2, 1).factors
    assert one.symbols(taps).tolist() == [
        ["x", "y", "z", "0", "0", "0"],
        ["0", "x", "y", "z", "0", "0"],
        ["0", "0", "x", "y", "z", "0"],
        ["0", "0", "0", "x", "y", "z"],
    ]
    assert two.symbols(taps).tolist() == [
        ["x", "y", "z", "0", "0", "0"],
        ["0", "0", "x", "y", "z", "0"],
    ]


def test_the_letter_grids_of_d1():
    layer = conv((5, 5), np.ones((3, 3)))
    text = layer.equation((0, 0), weight=letters((3, 3), skip="i"), input=letters((5, 5)))
    assert text == "y11 = a·a + b·b + c·c + d·f + e·g + f·h + g·k + h·l + j·m"


def test_the_composition_rule_of_d5():
    """Kernel k' + (k−1)s', stride s·s'; offsets run below that, 0 ≤ δ < k."""
    for k, s, k1, s1 in [(3, 1, 3, 2), (2, 2, 5, 3), (7, 1, 2, 2)]:
        whole = composed(Layer(k1, s1), Layer(k, s))
        assert (whole.kernel, whole.stride) == (k1 + (k - 1) * s1, s * s1)
        assert composed_kernel(np.ones(k1), s1, np.ones(k)).shape == (whole.kernel,)
        assert len(conv((99,), np.ones(k), s).reads(0)) == k


# C. Pooling and unpooling

SMALL = [[1, 2], [3, 4]]
POOLED = [[1, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]]


def test_nearest_and_bed_of_nails():
    assert nearest_unpool((2, 2), 2)(SMALL).tolist() == [
        [1, 1, 2, 2],
        [1, 1, 2, 2],
        [3, 3, 4, 4],
        [3, 3, 4, 4],
    ]
    assert bed_of_nails((2, 2), 2)(SMALL).tolist() == [
        [1, 0, 2, 0],
        [0, 0, 0, 0],
        [3, 0, 4, 0],
        [0, 0, 0, 0],
    ]


def test_max_pooling_and_unpooling():
    pooled = max_pool(POOLED, 2)
    assert pooled.values.tolist() == [[5, 6], [7, 8]]
    expected = [[0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]]
    assert max_unpool(SMALL, pooled.positions, (4, 4)).tolist() == expected
    assert pooled.selection.T(SMALL).tolist() == expected


# D. Transposed convolution

D1 = [[0, 1], [2, 3]]


def test_four_copies_of_the_kernel():
    up = transposed_conv((2, 2), D1)
    assert up(D1).tolist() == [[0, 0, 1], [0, 4, 6], [4, 12, 9]]
    assert up.stamp((1, 1), 3).tolist() == [[0, 0, 0], [0, 0, 3], [0, 6, 9]]
    assert largest_difference(four_views(D1, D1)) == 0


def test_stride_two_of_d1_needs_output_padding():
    assert transposed_size(2, 3, 2, 1, output_padding=1) == 4
    assert transposed_size(2, 3, 2, 1) == 3
    up = transposed_conv((2, 2), np.ones((3, 3)), 2, 1, 1)
    assert up.reaches((0, 0))[0].output == (0, 0)
    # Forward, one cell of the output for two of the input.
    down = conv((8,), np.ones(3), 2, 1)
    assert down.reads((2,))[0].input[0] - down.reads((1,))[0].input[0] == 2
    # 2 cells of the output for one of the input
    assert up.reaches((1, 0))[0].output[0] - up.reaches((0, 0))[0].output[0] == 1  # cut by padding
    assert up.reaches((1, 0))[-1].output[0] - up.reaches((0, 0))[-1].output[0] == 2


@pytest.mark.parametrize(
    ("scheme", "stride", "expected"), [("VALID", 1, 4), ("VALID", 2, 5), ("SAME", 2, 4)]
)
def test_keras_of_d3(scheme, stride, expected):
    assert tf_transposed_size(2, 3, stride, scheme) == expected


def test_the_transposed_matrix_of_d4():
    up = transposed_conv((2, 2), np.ones((3, 3)))
    assert up.shape == (16, 4)
    assert up.output_shape == (4, 4)
    assert (
        up.equation((1, 1), output="x", input="z") == "x22 = w22·z11 + w21·z12 + w12·z21 + w11·z22"
    )
    # D4 prints the input as z11, z12, x21, z22.
    assert names("z", (2, 2)).ravel().tolist() == ["z11", "z12", "z21", "z22"]
    # By rows, the flipped filter; by columns, copies of the filter.
    flipped, *_ = fractionally_strided_conv((2, 2), np.ones((3, 3))).factors
    assert [link.tap for link in flipped.reads((0, 0))] == list(np.ndindex(3, 3))[::-1]
    assert [link.tap for link in up.reaches((0, 0))] == list(np.ndindex(3, 3))
    kernel = np.arange(9.0).reshape(3, 3)
    assert conv((2, 2), np.flip(kernel), padding=2).difference(up.with_kernel(kernel)) == 0


def test_the_transposed_matrices_of_d2():
    taps = np.array(["x", "y", "z"], object)
    canvas_one = conv((4,), np.ones(3), 1, 1).T.factors[1]
    assert canvas_one.symbols(taps).T.tolist() == [
        ["x", "y", "z", "0", "0", "0"],
        ["0", "x", "y", "z", "0", "0"],
        ["0", "0", "x", "y", "z", "0"],
        ["0", "0", "0", "x", "y", "z"],
    ]
    up = transposed_conv((2,), np.ones(3), 2, 0, output_padding=1)
    assert up.symbols(taps).tolist() == [
        ["x", "0"],
        ["y", "0"],
        ["z", "x"],
        ["0", "y"],
        ["0", "z"],
        ["0", "0"],
    ]
    assert (up.coverage() == 0).tolist() == [False] * 5 + [True]


def test_which_filter_makes_it_bilinear():
    assert tent(2, align_corners=True).tolist() == [
        [0.25, 0.5, 0.25],
        [0.5, 1, 0.5],
        [0.25, 0.5, 0.25],
    ]


def test_not_an_inverse():
    x, kernel = np.arange(1, 10).reshape(3, 3), [[1, 2], [3, 4]]
    layer = conv((3, 3), kernel)
    assert layer(x).tolist() == [[37, 47], [67, 77]]
    assert layer.T(layer(x)).tolist() == [[37, 121, 94], [178, 500, 342], [201, 499, 308]]
    printed = transposed_conv((2, 2), np.flip(kernel))(layer(x))  # what D2 shows
    assert printed.tolist() == [[148, 299, 141], [342, 640, 278], [134, 221, 77]]
    assert np.array_equal(conv_input_gradient((3, 3), kernel, layer(x)), layer.T(layer(x)))


def test_the_checkerboard_of_d4():
    """Output stride 2, kernel 3: uneven; a kernel that the stride divides, or a resize: even."""
    assert transposed_conv((4,), np.ones(3), 2).coverage().tolist() == [1, 1, 2, 1, 2, 1, 2, 1, 1]
    assert transposed_conv((4,), np.ones(4), 2).coverage()[2:-2].tolist() == [2] * 6
    resize = nearest_unpool((4,), 2)
    then_convolve = conv(resize.output_shape, np.ones(3), padding=1)
    assert stack_coverage((resize, then_convolve))[1:-1].tolist() == [3] * 6


# E. Dilation


@pytest.mark.parametrize(("dilation", "span"), [(1, 3), (2, 5), (3, 7)])
def test_dilations_of_a_3x3_kernel(dilation, span):
    cells = [link.input for link in conv((7, 7), np.ones((3, 3)), 1, 0, dilation).reads((0, 0))]
    assert len(cells) == 9
    assert cells[-1] == (span - 1, span - 1)


def test_dilation_is_downsampling_convolving_upsampling():
    """On each of the four sub-photos a dilated kernel is the kernel itself, and they never mix."""
    kernel = np.random.default_rng(0).standard_normal((3, 3))
    dilated = conv((8, 8), kernel, dilation=2, padding=2)
    apart = np.zeros(dilated.shape)
    for offset in np.ndindex(2, 2):
        pick = subsample((8, 8), 2, offset)
        small = conv(pick.output_shape, kernel, padding=1)
        apart += (pick.T @ small @ pick).dense()
    np.testing.assert_array_equal(dilated.dense(), apart)


def test_exponential_growth_and_linear_parameters():
    stack = [Layer(3, dilation=d) for d in (1, 2, 4)]
    assert [field.size for field in receptive_fields(stack)] == [3, 7, 15]
    assert [parameters(stack[:n]) for n in (1, 2, 3)] == [9, 18, 27]


def test_the_context_module():
    assert [layer.dilation for layer in CONTEXT_MODULE[:-1]] == [1, 1, 2, 4, 8, 16, 1]
    assert [layer.kernel for layer in CONTEXT_MODULE] == [3] * 7 + [1]
    fields = [field.size for field in receptive_fields(CONTEXT_MODULE)]
    assert fields == [3, 5, 9, 17, 33, 65, 67, 67]
    assert CONTEXT_WIDTHS["large"][1:] == (2, 2, 4, 8, 16, 32, 32, 1)
    assert CONTEXT_WIDTHS["basic"][1:] == (1,) * 8
    assert parameters(CONTEXT_MODULE, CONTEXT_WIDTHS["basic"]) == 64  # times C²


def test_the_context_module_starts_as_the_identity():
    x = out = np.random.default_rng(0).random((9, 7))
    for place, layer in enumerate(CONTEXT_MODULE):
        kernel = identity((layer.kernel,) * 2)
        out = conv(out.shape, kernel, 1, layer.padding, layer.dilation)(out)
        if place < len(CONTEXT_MODULE) - 1:
            out = np.maximum(out, 0)
    np.testing.assert_array_equal(out, x)
