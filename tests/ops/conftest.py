"""PyTorch as the oracle: values, gradients and the adjoint identity in one call."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from explainer.ops import LinearMap

Oracle = Callable[[torch.Tensor], torch.Tensor]


@pytest.fixture(scope="session")
def agree() -> Callable[[LinearMap, Oracle], None]:
    """Check a map against a function of torch, which takes and gives (1, 1, *grid)."""

    def check(ours: LinearMap, theirs: Oracle) -> None:
        rng = np.random.default_rng(len(ours.values))
        x = rng.standard_normal(ours.input_shape)
        upstream = rng.standard_normal(ours.output_shape)
        tensor = torch.from_numpy(x)[None, None].requires_grad_()
        out = theirs(tensor)
        assert out.shape[2:] == ours.output_shape
        np.testing.assert_allclose(ours(x), out.detach().numpy()[0, 0], atol=1e-9)
        (gradient,) = torch.autograd.grad(out, tensor, torch.from_numpy(upstream)[None, None])
        np.testing.assert_allclose(ours.T(upstream), gradient.numpy()[0, 0], atol=1e-9)
        assert np.vdot(ours(x), upstream) == pytest.approx(np.vdot(x, ours.T(upstream)), abs=1e-9)

    return check


@pytest.fixture(scope="session")
def same_links() -> Callable[[LinearMap, LinearMap], None]:
    """Check that two maps join the same cells with the same taps and weights."""

    def check(one: LinearMap, other: LinearMap) -> None:
        assert (one.input_shape, one.output_shape) == (other.input_shape, other.output_shape)
        assert one.kernel_shape == other.kernel_shape
        assert one.link_table() == other.link_table()
        np.testing.assert_array_equal(one.paths, other.paths)

    return check
