"""The benchmark of FCN-VGG16 measures what it says; how fast it is, no test decides."""

import pytest
import torch

from explainer.bench import compute, paper_net, roofline
from explainer.bench.compute import photos
from explainer.bench.report import text
from explainer.bench.sections import SECTIONS, Options
from explainer.fcn.published import work
from tests.fcn.conftest import dense, thin

__all__ = ["thin"]  # a fixture

pytestmark = pytest.mark.usefixtures("thin")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small photos, and a device whose limits are given."""
    monkeypatch.setattr(paper_net, "SIZE", 40)
    monkeypatch.setattr(paper_net, "TURNS", 2)
    monkeypatch.setattr(roofline, "TURNS", 2)
    monkeypatch.setattr(compute, "peak_flops", lambda *_: 1e9)
    monkeypatch.setattr(compute, "bandwidth", lambda *_: 1e9)


@pytest.mark.usefixtures("small")
def test_every_batch_is_measured():
    report = SECTIONS["paper"].measure(Options("cpu"))
    ratios, _, layers, upscores = report.tables
    assert [(row.batch, row.turns) for row in ratios.rows] == [(1, 2), (8, 2)]
    whole = [row for row in layers.rows if row.kind == "the whole pass"]
    for row, layer, batch in zip(ratios.rows, whole, (1, 8), strict=True):
        assert min(row.milliseconds, row.three_nets) > 0
        assert row.photos_per_second == pytest.approx(1000 * batch / row.milliseconds)
        assert layer.gmac == pytest.approx(batch * work("fcn-vgg16", 40, 40).total / 1e9)
    assert all(row.difference < 1e-6 for row in upscores.rows), "the same map both ways"
    assert len(report.headlines) == 2
    assert all(text(table) for table in report.tables)


@pytest.mark.usefixtures("small")
def test_a_batch_without_room_is_left_out(monkeypatch):
    monkeypatch.setattr(paper_net, "memory_left", lambda device: 100.0)
    monkeypatch.setattr(paper_net, "peak_of", lambda device, run: 50.0)
    report = paper_net.measure(Options("cpu"))
    assert [row.milliseconds is None for row in report.tables[0].rows] == [False, True]
    assert len(report.headlines) == 1


def test_the_three_nets_are_those_of_the_release():
    nets = paper_net.three_nets("cpu", torch.float32)
    assert {stride: net.strides for stride, net in nets.items()} == {
        32: (32,), 16: (32, 16), 8: (32, 16, 8),
    }  # fmt: skip
    given = photos(1, 33, 20, "cpu")
    whole = paper_net.scores_of(nets[8])(given)
    for stride, net in nets.items():
        found = paper_net.scores_of(net)(given)
        assert min(found) == stride
        for coarser, scores in found.items():
            torch.testing.assert_close(scores, whole[coarser])


def test_the_dense_weights_are_those_of_the_release():
    up = paper_net.three_nets("cpu", torch.float32)[8].final
    torch.testing.assert_close(paper_net.dense_weights(up, torch.zeros(1, 21, 3, 3)), dense(16))
