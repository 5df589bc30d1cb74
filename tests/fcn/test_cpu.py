"""What makes the CPU fast leaves the numbers as they are."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from skimage import data

from explainer.fcn import cpu
from explainer.fcn.mobilenet import ConvReLU6
from explainer.fcn.segmenter import Segmenter
from explainer.fcn.weights import load_small


def test_fused_layers_give_the_scores_of_the_plain_ones():
    segmenter = Segmenter(load_small(), "cpu", dtype=torch.float32)
    layers = [layer for layer in segmenter.network.modules() if isinstance(layer, ConvReLU6)]
    fused = segmenter(data.chelsea())
    for layer in layers:
        layer.fused = False
    plain = segmenter(data.chelsea())
    for stride in (32, 16, 8):
        np.testing.assert_allclose(
            fused.scores[stride].values, plain.scores[stride].values, rtol=1e-4, atol=1e-3
        )


def test_layers_stay_plain_where_the_operator_is_missing_or_wrong(monkeypatch):
    network = load_small()
    layers = [layer for layer in network.modules() if isinstance(layer, ConvReLU6)]
    original = ConvReLU6.forward

    def broken(self, input):
        if self.fused:
            raise AttributeError("no such operator")
        return original(self, input)

    def wrong(self, input):
        return original(self, input) + (1.0 if self.fused else 0.0)

    for replacement in (broken, wrong):
        monkeypatch.setattr(ConvReLU6, "forward", replacement)
        assert not cpu.fuse(network, torch.float32)
        assert not any(layer.fused for layer in layers)


def test_gradients_flow_through_a_fused_layer():
    layer = ConvReLU6(2, 3, 3, padding=1)
    layer.fused = True
    photo = torch.randn(1, 2, 5, 5, requires_grad=True)
    layer(photo).sum().backward()
    assert photo.grad is not None
    assert photo.grad.abs().sum() > 0


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("slow_above", "chosen"), [(1, 1), (2, 2), (8, 8)])
def test_threads_that_slow_the_work_down_are_taken_away(threads, slow_above, chosen):
    """Work that costs more the more threads above a number it has, as in a container."""
    torch.set_num_threads(8)

    def work() -> None:
        used = torch.get_num_threads()
        time.sleep(0.004 * (used / slow_above if used > slow_above else slow_above / used))

    assert cpu.tune_threads(work) == chosen == torch.get_num_threads()


@pytest.mark.parametrize(("seconds", "chosen"), [(0.1, 4), (0.25, 8), (0.7, 8)])
def test_on_a_busy_machine_the_choice_of_threads_ends_soon(threads, seconds, chosen):
    """With time for all the turns 4 would be chosen: twice as fast as 8, and no slower than 2."""
    torch.set_num_threads(8)

    def work() -> None:
        time.sleep(seconds if torch.get_num_threads() == 8 else 0.5 * seconds)

    began = time.perf_counter()
    assert cpu.tune_threads(work) == chosen == torch.get_num_threads()
    assert time.perf_counter() - began < 0.6 + seconds + 0.1


@pytest.mark.parametrize(("set_by_user", "expected"), [(None, "1000"), ("7", "7")])
def test_threads_do_not_spin_for_long_unless_the_user_says_so(root, set_by_user, expected):
    """Set before PyTorch is loaded, which reads it once."""
    code = (
        "import os, sys, explainer.fcn; assert 'torch' not in sys.modules; "
        "print(os.environ['GOMP_SPINCOUNT'])"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if set_by_user is not None:
        environment["GOMP_SPINCOUNT"] = set_by_user
    printed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert printed.stdout.strip() == expected
