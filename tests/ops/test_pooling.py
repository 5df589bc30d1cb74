"""Sum, average and max pooling against PyTorch; TensorFlow's average; unpooling as transposes."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.nn import functional as F

from explainer.ops import (
    SettingError,
    avg_pool,
    avg_pool_tf,
    bed_of_nails,
    conv,
    max_pool,
    max_unpool,
    nearest_unpool,
    pool_size,
    same_padding,
    subsample,
    sum_pool,
)

CASES = list(product(range(1, 8), range(1, 5), range(1, 4), range(3), [False, True]))


def torch_pool(n, k, s, p, ceil, d=1):
    """Max pooling of torch on one axis, or None where torch refuses."""
    try:
        column = torch.zeros(1, n, 1)
        return F.max_pool2d(column, (k, 1), (s, 1), (p, 0), (d, 1), ceil)[..., 0]
    except RuntimeError:
        return None


def test_sizes_and_refusals_are_those_of_pytorch():
    refused = 0
    for n, k, s, p, ceil in CASES:
        expected = torch_pool(n, k, s, p, ceil)
        if expected is None:
            refused += 1
            with pytest.raises(SettingError) as error:
                pool_size(n, k, s, p, ceil_mode=ceil)
            for change in error.value.suggestions:
                mended = error.value.values | change
                n2, k2, s2, p2 = (mended[name] for name in ("size", "kernel", "stride", "padding"))
                assert torch_pool(n2, k2, s2, p2, ceil, mended["dilation"]) is not None
        else:
            assert pool_size(n, k, s, p, ceil_mode=ceil) == expected.shape[1]
    assert refused > 100


@given(
    st.integers(1, 12),
    st.integers(1, 6),
    st.integers(1, 7),
    st.integers(0, 3),
    st.integers(1, 6),
    st.booleans(),
)
def test_every_window_of_a_pooling_reads_a_cell(n, k, s, p, d, ceil):
    room = n + 2 * p - (d * (k - 1) + 1)
    assume(2 * p <= k)
    count = (-(-room // s) if ceil else room // s) + 1
    if ceil and (count - 1) * s >= n + p:
        count -= 1
    assume(count >= 1)
    reads = [any(0 <= o * s - p + t * d < n for t in range(k)) for o in range(count)]
    if all(reads):
        assert pool_size(n, k, s, p, d, ceil_mode=ceil) == count
    else:
        with pytest.raises(SettingError, match="every window must reach a cell"):
            pool_size(n, k, s, p, d, ceil_mode=ceil)


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("ceil", [False, True])
def test_averages_on_one_axis(agree, include, ceil):
    for n, k, s, p in product((1, 2, 5, 6), range(1, 5), range(1, 4), range(3)):
        if torch_pool(n, k, s, p, ceil) is not None:
            agree(
                avg_pool((n,), k, s, p, ceil, include),
                lambda x, k=k, s=s, p=p: F.avg_pool1d(x, k, s, p, ceil, include),
            )


def pools(*names):
    axes = {
        "size": st.integers(1, 8),
        "kernel": st.integers(1, 4),
        "stride": st.integers(1, 3),
        "padding": st.integers(0, 2),
        "dilation": st.integers(1, 3),
    }
    return st.tuples(*(st.tuples(axes[name], axes[name]) for name in names))


@given(s=pools("size", "kernel", "stride", "padding"), ceil=st.booleans(), include=st.booleans())
def test_rectangular_averages(agree, s, ceil, include):
    size, kernel, stride, padding = s
    for n, k, step, p in zip(*s, strict=True):
        assume(torch_pool(n, k, step, p, ceil) is not None)
    average = avg_pool(size, kernel, stride, padding, ceil, include)
    agree(average, lambda x: F.avg_pool2d(x, kernel, stride, padding, ceil, include))
    total = sum_pool(size, kernel, stride, padding, ceil_mode=ceil)
    x = np.random.default_rng(0).standard_normal(size)
    counts = F.avg_pool2d(torch.from_numpy(x)[None], kernel, stride, padding, ceil, False, 1)[0]
    np.testing.assert_allclose(total(x), counts, atol=1e-12)


def test_the_average_is_a_valid_map_on_the_padded_grid():
    padded, embedding = avg_pool((4,), 2, 2, 1).factors
    assert padded.dense().tolist() == [[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0],
                                       [0, 0, 0, 0, 0.5, 0.5]]  # fmt: skip
    assert embedding.usage().tolist() == [1, 1, 1, 1]
    without = avg_pool((4,), 2, 2, 1, count_include_pad=False)
    assert without.dense()[0].tolist() == [1, 0, 0, 0]


@given(s=pools("size", "kernel", "stride"))
def test_averages_of_tensorflow_never_count_padding(agree, s):
    size, kernel, stride = s
    both = [same_padding(*axis) for axis in zip(*s, strict=True)]

    def theirs(x):
        sides = [side for pair in reversed(both) for side in pair]
        ones = torch.ones(1, 1, *kernel, dtype=torch.float64)
        counts = F.conv2d(F.pad(torch.ones_like(x), sides), ones, None, stride)
        return F.conv2d(F.pad(x, sides), ones, None, stride) / counts

    agree(avg_pool_tf(size, kernel, stride, "SAME"), theirs)
    if all(k <= n for k, n in zip(kernel, size, strict=True)):
        agree(avg_pool_tf(size, kernel, stride), lambda x: F.avg_pool2d(x, kernel, stride))


@given(
    s=pools("size", "kernel", "stride", "padding", "dilation"),
    ceil=st.booleans(),
    levels=st.sampled_from([2, 5, 1000]),
    seed=st.integers(0, 99),
)
def test_max_pooling_with_its_positions(s, ceil, levels, seed):
    """Few levels make ties, where the first one must win as in PyTorch."""
    size, kernel, stride, padding, dilation = s
    x = np.random.default_rng(seed).integers(-levels, 0, size).astype(np.float64)
    for n, k, step, p, d in zip(*s, strict=True):
        expected = torch_pool(n, k, step, p, ceil, d)
        if expected is None or torch.isinf(expected).any():  # refused, or a window of padding only
            with pytest.raises(SettingError):
                max_pool(x, kernel, stride, padding, dilation, ceil)
            return
        assert pool_size(n, k, step, p, d, ceil) == expected.shape[1]
    ours = max_pool(x, kernel, stride, padding, dilation, ceil)
    tensor = torch.from_numpy(x)[None, None].requires_grad_()
    values, positions = F.max_pool2d(
        tensor, kernel, stride, padding, dilation, ceil, return_indices=True
    )
    np.testing.assert_array_equal(ours.values, values.detach()[0, 0])
    np.testing.assert_array_equal(ours.positions, positions[0, 0])
    np.testing.assert_array_equal(ours.selection(x), ours.values)
    upstream = np.random.default_rng(seed).standard_normal(ours.values.shape)
    (gradient,) = torch.autograd.grad(values, tensor, torch.from_numpy(upstream)[None, None])
    np.testing.assert_allclose(ours.selection.T(upstream), gradient[0, 0])
    for cell in np.ndindex(ours.values.shape):
        compared = [x[link.input] for link in ours.windows.reads(cell)]
        assert max(compared) == ours.values[cell]
        (chosen,) = ours.selection.reads(cell)
        assert (chosen.input, chosen.tap) in [
            (link.input, link.tap) for link in ours.windows.reads(cell)
        ]


def test_padding_never_wins_and_minus_infinity_may():
    pooled = max_pool(np.full((2,), -np.inf), 2, padding=1)
    assert pooled.values.tolist() == [-np.inf, -np.inf]
    assert pooled.positions.tolist() == [0, 1]


def test_nan_cannot_be_compared():
    with pytest.raises(ValueError, match="nan cannot be compared"):
        max_pool([1, float("nan")], 2)


def test_a_window_that_sees_padding_alone_is_refused():
    with pytest.raises(SettingError, match="not padding alone") as error:
        max_pool(np.zeros(2), 2, 1, 1, 3)
    assert error.value.parameter == "padding"


@given(size=st.tuples(*[st.integers(1, 6)] * 2), factor=st.tuples(*[st.integers(1, 4)] * 2))
def test_nearest_and_bed_of_nails(agree, same_links, size, factor):
    large = tuple(n * f for n, f in zip(size, factor, strict=True))
    nearest = nearest_unpool(size, factor)
    agree(nearest, lambda x: F.interpolate(x, scale_factor=factor, mode="nearest"))
    same_links(nearest.T, sum_pool(large, factor))
    nails = bed_of_nails(size, factor)
    one = np.zeros(factor)
    one[0, 0] = 1
    agree(nails, lambda x: F.conv_transpose2d(x, torch.from_numpy(one)[None, None], None, factor))
    same_links(nails.T, subsample(large, factor))
    assert nails.T.difference(conv(large, [[1]], factor)) == 0


@pytest.fixture
def one_thread():
    """With more, torch's max_unpool2d writes overlapping values in no fixed order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("seed", "overlap"), list(product(range(30), [False, True])))
@pytest.mark.usefixtures("one_thread")
def test_max_unpooling_overwrites_and_its_transpose_adds(seed, overlap):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 9, (6, 6)).astype(np.float64)
    pooled = max_pool(x, 3, 1 if overlap else 3)
    new = rng.standard_normal(pooled.values.shape)
    unpooled = max_unpool(new, pooled.positions, x.shape)
    expected = F.max_unpool2d(
        torch.from_numpy(new)[None],
        torch.from_numpy(pooled.positions.astype(np.int64))[None],
        [3, 3],
        [1, 1] if overlap else [3, 3],
        output_size=(6, 6),
    )
    np.testing.assert_array_equal(unpooled, expected[0])
    added = pooled.selection.T(new)
    chosen_twice = np.bincount(pooled.positions.ravel()).max() > 1
    assert np.array_equal(unpooled, added) != chosen_twice
    assert chosen_twice == overlap


def test_a_5_that_moves_within_its_window():
    """The pooled map stays and the max-unpooled one moves: positions are remembered, not values."""
    before, after = np.zeros((4, 4)), np.zeros((4, 4))
    before[1, 0] = after[0, 1] = 5
    one, other = max_pool(before, 2), max_pool(after, 2)
    assert np.array_equal(one.values, other.values)
    assert np.flatnonzero(max_unpool(one.values, one.positions, (4, 4))).tolist() == [4]
    assert np.flatnonzero(max_unpool(other.values, other.positions, (4, 4))).tolist() == [1]
    assert (one.selection.usage() == 0).sum() == 12  # 12 of 16 values are gone


@pytest.mark.parametrize(
    ("values", "positions", "message"),
    [
        ([1, 2], [0], "2 values, 1 positions"),
        ([1], [4], "between 0 and 3 in a grid of 2×2"),
        ([1], [-1], "between 0 and 3"),
        ([1], [0.9], "whole numbers, not float64"),
        ([1], [True], "whole numbers, not bool"),
    ],
)
def test_positions_must_fit(values, positions, message):
    with pytest.raises(ValueError, match=message):
        max_unpool(values, positions, (2, 2))
