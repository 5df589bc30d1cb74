"""The one class, used as a lesson page would use it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explainer.ops import (
    LinearMap,
    Link,
    SettingError,
    avg_pool,
    bilinear,
    compose,
    conv,
    conv_channels,
    letters,
    names,
    nearest_unpool,
    pad,
    transposed_conv,
)

KERNEL = [[0, 1], [2, 3]]


def test_links_of_an_output_an_input_and_a_weight():
    layer = conv((3, 3), KERNEL)
    assert layer.reads((0, 1)) == (
        Link((0, 1), (0, 1), (0, 0), 0.0, 1),
        Link((0, 1), (0, 2), (0, 1), 1.0, 1),
        Link((0, 1), (1, 1), (1, 0), 2.0, 1),
        Link((0, 1), (1, 2), (1, 1), 3.0, 1),
    )
    assert [(link.output, link.tap) for link in layer.reaches((1, 1))] == [
        ((0, 0), (1, 1)),
        ((0, 1), (1, 0)),
        ((1, 0), (0, 1)),
        ((1, 1), (0, 0)),
    ]
    assert [(link.output, link.input) for link in layer.joined_by((1, 0))] == [
        ((0, 0), (1, 0)),
        ((0, 1), (1, 1)),
        ((1, 0), (2, 0)),
        ((1, 1), (2, 1)),
    ]


def test_on_one_axis_an_index_is_a_cell():
    layer = conv((4,), [1, 2, 3], padding=1)
    assert layer.reads(0) == layer.reads((0,)) == layer.reads(np.int64(0))
    assert [(link.input, link.tap) for link in layer.reads(0)] == [((0,), (1,)), ((1,), (2,))]


def test_weights_of_zero_keep_their_links():
    layer = conv((3, 3), np.zeros((2, 2)))
    assert layer.coverage().tolist() == [[4, 4], [4, 4]]
    assert layer.matrix.nnz == 16
    assert not layer.dense().any()


def test_links_stay_where_weights_cancel():
    twice = conv((2,), [1, 1]) @ conv((3,), [1, -1])
    assert twice.dense().tolist() == [[1, 0, -1]]
    assert [(link.input, link.value, link.paths) for link in twice.reads(0)] == [
        ((0,), 1.0, 1),
        ((1,), 0.0, 2),
        ((2,), -1.0, 1),
    ]
    assert twice.kernel_shape is None
    assert twice.reads(0)[0].tap is None


@given(data=st.data())
def test_a_product_is_the_product_of_the_matrices(data):
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
    kernel = data.draw(st.integers(1, 2))
    weights = np.arange(1.0, kernel ** len(sizes) + 1).reshape([kernel] * len(sizes))
    first = transposed_conv(sizes, weights, stride=2)
    second = conv(first.output_shape, weights, stride=1, padding=1)
    third = avg_pool(second.output_shape, 2, stride=1)
    product = compose(third, second, first)
    nested = third @ (second @ first)
    np.testing.assert_array_equal(nested.structure.toarray(), product.structure.toarray())
    np.testing.assert_allclose(product.dense(), third.dense() @ second.dense() @ first.dense())
    counts = third.structure @ second.structure @ first.structure
    np.testing.assert_array_equal(product.structure.toarray(), counts.toarray())
    assert product.factors == (third, second, first)
    np.testing.assert_allclose(product.T.dense(), product.dense().T)


def test_padding_is_an_embedding_and_its_transpose_a_crop():
    layer = conv((4,), [1, 2, 3], padding=1)
    valid, embedding = layer.factors
    assert valid.dense().tolist() == [
        [1, 2, 3, 0, 0, 0],
        [0, 1, 2, 3, 0, 0],
        [0, 0, 1, 2, 3, 0],
        [0, 0, 0, 1, 2, 3],
    ]
    assert (embedding.coverage() == 0).tolist() == [True, False, False, False, False, True]
    assert embedding.move(names("x", (4,)), "0").tolist() == ["0", "x1", "x2", "x3", "x4", "0"]
    padded_names = embedding.move(names("x", (4,)), "0")
    assert valid.equation(0, input=padded_names) == "y1 = w1·0 + w2·x1 + w3·x2"
    np.testing.assert_array_equal((valid @ embedding).dense(), layer.dense())
    crop, canvas = layer.T.factors
    assert crop.dense().tolist() == embedding.dense().T.tolist()
    assert canvas.dense().tolist() == valid.dense().T.tolist()
    assert crop([9, 1, 2, 3, 4, 9]).tolist() == [1, 2, 3, 4]


def test_cells_that_no_window_reads():
    assert conv((6,), [1, 1, 1], stride=2).usage().tolist() == [1, 1, 2, 1, 1, 0]
    assert conv((5,), [1, 1, 1], stride=2).usage().tolist() == [1, 1, 2, 1, 1]


def test_equations_with_letters_and_with_numbers():
    layer = conv((3, 3), KERNEL)
    assert layer.equation((0, 1)) == "y12 = w11·x12 + w12·x13 + w21·x22 + w22·x23"
    assert (
        layer.equation((1, 0), output="o", weight=letters((2, 2)), input=letters((3, 3)))
        == "o21 = a·d + b·e + c·g + d·h"
    )
    x = [[1, -2, 0.5], [0, 1, 2], [3, 4, 5]]
    assert layer.equation((0, 0), x) == "y11 = 0·1 + 1·(−2) + 2·0 + 3·1 = 1"
    assert (
        layer.destinations((1, 1)) == "x22 → y11: w22·x22, y12: w21·x22, y21: w12·x22, y22: w11·x22"
    )
    assert conv((3,), [5], stride=3).destinations(1) == "x2 → nowhere"
    assert transposed_conv((2,), [5], stride=2, output_padding=1).equation(1) == "y2 = 0"
    assert bilinear((2,), 4).equation(1) == "y2 = 0.75·x1 + 0.25·x2"


def test_the_matrix_in_letters():
    layer = conv((3,), [0, 7], padding=1)
    assert layer.symbols().tolist() == [
        ["w2", "0", "0"],
        ["w1", "w2", "0"],
        ["0", "w1", "w2"],
        ["0", "0", "w1"],
    ]
    assert layer.symbols(letters((2,)), empty="")[0].tolist() == ["b", "", ""]
    assert nearest_unpool((1,), 2).T.symbols("k").tolist() == [["k1", "k2"]]
    assert pad((1,), [1], [0]).symbols().tolist() == [["0"], ["1"]]


def test_overlap_add_one_stamp_at_a_time():
    up = transposed_conv((2, 2), KERNEL)
    x = np.array([[0.0, 1.0], [2.0, 3.0]])
    assert up.stamp((1, 0), 2).tolist() == [[0, 0, 0], [0, 2, 0], [4, 6, 0]]
    total = sum(up.stamp(cell, float(x[cell])) for cell in np.ndindex(x.shape))
    np.testing.assert_array_equal(total, up(x))


def test_another_kernel_in_the_same_structure(same_links):
    layer = conv((4, 4), np.zeros((3, 3)), stride=2, padding=1)
    other = np.arange(9.0).reshape(3, 3)
    changed = layer.with_kernel(other)
    built = conv((4, 4), other, stride=2, padding=1)
    same_links(changed, built)
    same_links(changed.factors[0], built.factors[0])
    same_links(changed.T.factors[1], built.T.factors[1])
    assert not layer.values.any()


def test_largest_difference_of_two_maps():
    one, other = conv((3,), [1, 2]), conv((3,), [1, 2.5])
    assert one.difference(other) == 0.5
    assert one.difference(one) == 0


def test_channels_stacked_in_front_go_through_one_by_one():
    layer = conv((4, 4), KERNEL)
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 4))
    assert layer(x).shape == (2, 3, 3, 3)
    np.testing.assert_allclose(layer(x)[1, 2], layer(x[1, 2]))
    assert layer(np.zeros((0, 4, 4))).shape == (0, 3, 3)


def test_three_channels_and_a_kernel_each_make_a_sum():
    kernel = np.random.default_rng(1).standard_normal((1, 3, 3, 3))
    x = np.random.default_rng(2).standard_normal((3, 5, 5))
    parts = [conv((5, 5), kernel[0, c])(x[c]) for c in range(3)]
    np.testing.assert_allclose(conv_channels((3, 5, 5), kernel)(x)[0], sum(parts))


def test_the_link_table_is_ready_for_the_browser():
    table = json.loads(json.dumps(conv((3,), [0, 4]).link_table()))
    assert table == {
        "output": [0, 0, 1, 1],
        "input": [0, 1, 1, 2],
        "tap": [0, 1, 0, 1],
        "value": [0, 4, 0, 4],
    }
    assert bilinear((2,), 3).link_table()["tap"] == [-1, -1, -1, -1]


def test_links_between_the_same_cells_add_up():
    where = np.array([0, 0, 1]), np.array([1, 1, 0])
    layer = LinearMap.from_links((2,), (2,), *where, np.array([1.0, 2.0, 5.0]))
    assert layer.dense().tolist() == [[0, 3], [5, 0]]
    assert layer.coverage().tolist() == [2, 1]


def test_only_selections_move_names():
    for other in (conv((2,), [1]), conv((3,), [1, 1]), bilinear((2,), 3), nearest_unpool((2,), 2)):
        assert not other.is_selection
        with pytest.raises(ValueError, match="only a selection"):
            other.move(names("x", other.input_shape), "0")


def test_a_kernel_with_the_weight_one_is_a_kernel_still():
    assert transposed_conv((2,), [1], stride=2).kernel_shape == (1,)
    assert transposed_conv((2,), [1], stride=2).equation(0) == "y1 = w1·x1"


def test_it_says_what_it_is():
    assert repr(conv((4, 4), np.ones((3, 3)))) == "LinearMap(4×4 → 2×2, 36 links, kernel 3×3)"
    assert repr(bilinear((2,), 3)) == "LinearMap(2 → 3, 4 links)"


LAYER = conv((4, 4), KERNEL)
BARE = bilinear((2, 2), 3)
MISUSES = [
    (lambda: LAYER.reads((3, 0)), IndexError, "there is no cell 3, 0 in a grid of 3×3"),
    (lambda: LAYER.reads((-1, 0)), IndexError, "there is no cell -1, 0"),
    (lambda: LAYER.reaches(0), IndexError, "there is no cell 0 in a grid of 4×4"),
    (lambda: LAYER.joined_by((0, 2)), IndexError, "there is no cell 0, 2 in a grid of 2×2"),
    (lambda: BARE.joined_by((0, 0)), IndexError, "a map without a kernel"),
    (lambda: LAYER(np.ones((3, 4))), ValueError, "the input must have 4×4 cells, not 3×4"),
    (lambda: LAYER(1.0), ValueError, "not none"),
    (lambda: LAYER @ LAYER, SettingError, "must be the output_shape of the map that acts before"),
    (lambda: compose(), SettingError, "maps: must be at least one map; got maps=0"),
    (lambda: LAYER.with_kernel([[1]]), ValueError, "the kernel must have 2×2 cells, not 1×1"),
    (lambda: BARE.with_kernel([[1]]), ValueError, "has no kernel"),
    (lambda: BARE.kernel_gradient(np.ones((2, 2)), np.ones((3, 3))), ValueError, "has no kernel"),
    (lambda: LAYER.kernel_gradient(np.ones((4, 4)), np.ones(9)), ValueError, "must have 3×3"),
    (lambda: LAYER.difference(BARE), ValueError, "the other map's input must have 4×4"),
    (lambda: LAYER.equation((0, 0), np.ones(4)), ValueError, "the input must have 4×4 cells"),
    (lambda: LAYER.symbols(letters((3, 3))), ValueError, "the names of the weights must have 2×2"),
    (lambda: pad((2,), [1], [1]).move(names("x", (3,)), ""), ValueError, "the grid of names"),
]


@pytest.mark.parametrize(("misuse", "error", "message"), MISUSES)
def test_misuse_says_what_was_wrong(misuse, error, message):
    with pytest.raises(error, match=message):
        misuse()


def test_maps_that_do_not_fit_name_both_grids():
    with pytest.raises(SettingError) as caught:
        compose(LAYER, pad((4, 4), (0, 0), (0, 0)), LAYER)
    assert caught.value.values == {"input_shape": (4, 4), "output_shape": (3, 3)}
    assert caught.value.suggestions == ({"input_shape": (3, 3)}, {"output_shape": (4, 4)})


def test_compose_of_one_map_is_that_map():
    assert compose(LAYER) is LAYER
