"""Numbers from the literature: the arithmetic guide, checkerboards, tents, receptive fields."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from explainer.ops import (
    Layer,
    bed_of_nails,
    bilinear,
    conv,
    conv_size,
    holes,
    layer_maps,
    phase_counts,
    phase_sums,
    reached,
    receptive_fields,
    tent,
    tent_upsampling,
    tf_size,
    tf_transposed_size,
    transposed_conv,
    transposed_size,
)
from explainer.ops.kernels import tent_row
from explainer.ops.stacks import (
    ALEXNET,
    FCN_VGG16,
    GOOGLENET,
    MOBILENETV2,
    RESNET50,
    STACKS,
    VGG16,
)

GUIDE = [  # i, k, s, p, o, and output_padding of the way back
    (4, 3, 1, 0, 2, 0),
    (5, 4, 1, 2, 6, 0),
    (5, 3, 1, 1, 5, 0),
    (5, 3, 1, 2, 7, 0),
    (5, 3, 2, 0, 2, 0),
    (5, 3, 2, 1, 3, 0),
    (6, 3, 2, 1, 3, 1),
]


@pytest.mark.parametrize(("i", "k", "s", "p", "o", "a"), GUIDE)
def test_the_arithmetic_guide(i, k, s, p, o, a):
    assert conv_size(i, k, s, p) == o
    assert transposed_size(o, k, s, p, a) == i
    kernel = np.arange(k * k, dtype=float).reshape(k, k)
    forward, back = conv((i, i), kernel, s, p), transposed_conv((o, o), kernel, s, p, a)
    assert forward.T.difference(back) == 0


def test_the_dilated_case_of_the_guide():
    assert conv_size(7, 3, 1, 0, 2) == 3


@pytest.mark.parametrize("n", range(3, 9))
def test_tensorflow_formulas(n):
    for k, s in product(range(1, 4), range(1, 4)):
        assert tf_size(n, k, s) == -(-n // s)
        assert tf_size(n, k, s, scheme="VALID") == conv_size(n, k, s)
        assert tf_transposed_size(n, k, s) == n * s
        assert tf_transposed_size(n, k, s, "VALID") == (n - 1) * s + max(k, s)


def test_output_padding_computes_inside_the_canvas_and_is_empty_beyond():
    inside = transposed_conv((2, 2), np.ones((3, 3)), 2, 1, 1)
    assert inside.coverage().min() == 1
    beyond = transposed_conv((2, 2), np.ones((3, 3)), 2, 0, 1).coverage()
    assert beyond[-1].tolist() == beyond[:, -1].tolist() == [0] * 6


def test_uneven_overlap():
    counts = transposed_conv((8,), np.ones(3), 2).coverage()
    assert counts.tolist() == [1, 1] + [2, 1] * 7 + [1]
    interior = transposed_conv((5, 5), np.ones((3, 3)), 2).coverage()[2:8, 2:8]
    assert interior.tolist() == [[4, 2] * 3, [2, 1] * 3] * 3
    # A strided convolution makes the same pattern in the gradient by its input.
    gradient = conv((17,), np.ones(3), 2).T(np.ones(8))
    assert gradient.tolist() == counts.tolist()


@pytest.mark.parametrize(("k", "s"), list(product(range(1, 7), range(1, 5))))
def test_even_exactly_when_the_stride_divides_the_kernel(k, s):
    counts = transposed_conv((9,), np.ones(k), s).coverage()[k - 1 : 8 * s + 1]
    assert (len(set(counts.tolist())) == 1) == (k % s == 0)
    assert (len(set(phase_counts(k, s).ravel().tolist())) == 1) == (k % s == 0)


@pytest.mark.parametrize("s", range(1, 9))
def test_tents(s):
    row, padding = tent_row(s)
    assert (len(row), padding) == (2 * s - s % 2, -(-(s - 1) // 2))
    row, padding = tent_row(s, align_corners=True)
    assert (len(row), padding) == (2 * s - 1, s - 1)
    # The filler of Long et al.'s release (Caffe, "bilinear").
    row, _ = tent_row(s)
    f = -(-len(row) // 2)
    c = (2 * f - 1 - f % 2) / (2 * f)
    np.testing.assert_allclose(row, [1 - abs(i / f - c) for i in range(len(row))])


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (16, 8), (32, 16), (64, 32)])
def test_tents_of_the_paper(kernel, stride):
    assert tent(stride).shape == (kernel, kernel)


def test_bilinear_at_the_corner():
    row, _ = tent_row(2)
    assert row.tolist() == [0.25, 0.75, 0.75, 0.25]
    flat = np.ones((5, 5))
    up = tent_upsampling((5, 5), 2)(flat)
    assert up[0, 0] == 0.5625
    assert (up[1:-1, 1:-1] == 1).all()
    assert (bilinear((5, 5), 10)(flat) == 1).all()
    assert (tent_upsampling((5, 5), 2, align_corners=True)(flat) == 1).all()


def test_uneven_counts_and_yet_flat():
    kernel = tent(2, align_corners=True)
    assert phase_counts(3, 2).tolist() == [[4, 2], [2, 1]]
    assert sorted(phase_counts(3, 2).ravel().tolist(), reverse=True) == [4, 2, 2, 1]
    # Tap (1, 1) alone makes one phase, the four corners another.
    assert phase_sums(kernel, 2).tolist() == [[1, 1], [1, 1]]
    other = np.arange(16.0).reshape(4, 4)
    assert phase_counts(4, 2).tolist() == [[4, 4], [4, 4]]
    assert len(set(phase_sums(other, 2).ravel().tolist())) > 1


def sizes(stack):
    return [field.size for field in receptive_fields(stack)]


def test_vgg16_and_alexnet():
    fields = dict(zip([layer.name for layer in VGG16], receptive_fields(VGG16), strict=True))
    pools = [(fields[f"pool{n}"].size, fields[f"pool{n}"].stride) for n in range(1, 6)]
    assert pools == [(6, 2), (16, 4), (44, 8), (100, 16), (212, 32)]
    assert (fields["fc6"].size, fields["fc6"].stride) == (404, 32)
    assert sizes(ALEXNET)[-1] == 355
    *_, fcn = receptive_fields(FCN_VGG16)
    assert (fcn.size, fcn.left) == (404, -99 + receptive_fields(VGG16)[-1].left)


def test_googlenet_with_and_without_its_last_pool():
    assert sizes(GOOGLENET)[-1] == 907
    assert sizes(GOOGLENET[:-1])[-1] == 715


def test_mobilenetv2_and_resnet50():
    fields = receptive_fields(MOBILENETV2)
    assert (fields[-1].size, fields[-1].stride) == (491, 32)
    assert max(field.size for field in fields if field.stride == 8) == 59
    # 3×3 layers of padding 1 and stride 2 centre unit u on pixel 32u.
    assert fields[-1].centre == 0
    assert (sizes(RESNET50)[-1], receptive_fields(RESNET50)[-1].stride) == (427, 32)


@pytest.mark.parametrize("name", STACKS)
def test_the_left_edge_is_minus_the_padding(name):
    edge, stride = 0, 1
    for layer in STACKS[name]:
        edge += layer.padding * stride
        stride *= layer.stride
    *_, field = receptive_fields(STACKS[name])
    assert (field.left, field.stride) == (-edge, stride)


def test_alexnet_from_its_maps():
    maps = layer_maps([replace(layer, padding=0) for layer in ALEXNET], 355)
    assert maps[-1].output_shape == (1,)
    assert reached(maps, 0).all()


@pytest.mark.parametrize(
    ("dilations", "span", "touched"),
    [((1, 2, 4, 8), 31, 31), ((2, 2, 2), 13, 7), ((1, 2, 5), 17, 17)],
)
def test_dilated_stacks_and_their_holes(dilations, span, touched):
    stack = [Layer(3, dilation=d) for d in dilations]
    assert sizes(stack)[-1] == span
    seen = reached(layer_maps(stack, span), 0)
    assert (seen.sum(), holes(seen)) == (touched, span - touched)
    if dilations == (1, 2, 4, 8):
        assert sizes(stack) == [3, 7, 15, 31]


def test_fractional_stride_is_zeros_between_the_cells():
    """The zeros of bed of nails, flipped kernel, padding d(k−1) − p: the guide's section 4.6."""
    nails = bed_of_nails((3,), 2)
    assert nails([1, 2, 3]).tolist() == [1, 0, 2, 0, 3, 0]
    kernel = np.array([1.0, 10, 100])
    spread = conv((6,), kernel[::-1], padding=2)
    up = transposed_conv((3,), kernel, 2)
    assert (spread @ nails)([1, 2, 3])[:7].tolist() == up([1, 2, 3]).tolist()
