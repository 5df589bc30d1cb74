"""The sections that compute: what they do with numbers, not how fast."""

import dataclasses
import time

import numpy as np
import pytest
import torch
from torch import nn

from explainer.bench import compiled, cpu_path, forward, ops_maps, reruns, roofline, start
from explainer.bench.class_photos import agreement
from explainer.bench.compute import awaited, photos
from explainer.bench.counting import LayerCost
from explainer.bench.networks import scores_of, three_heads, three_nets
from explainer.bench.sections import Options
from explainer.fcn.engine import Engine
from explainer.fcn.network import pad


def test_three_nets_give_the_scores_of_the_one_pass():
    given = photos(1, 64, 96, "cpu")
    found = {}
    with torch.inference_mode():
        together = scores_of(three_heads("cpu"))(given)
        for net in three_nets("cpu"):
            found[min(net.lattices)] = scores_of(net)(given)
    assert [sorted(scores, reverse=True) for scores in found.values()] == [
        [32],
        [32, 16],
        [32, 16, 8],
    ]
    for scores in found.values():
        for stride, values in scores.items():
            torch.testing.assert_close(values, together[stride])


@pytest.mark.parametrize(("largest", "at_once"), [(1, 1), (2, 2), (4, 2)])
def test_the_products_batch_is_run_in_its_passes_and_in_order(largest, at_once):
    segmenter = three_heads("cpu")
    segmenter.largest_batch, segmenter.passes_at_once = largest, at_once
    batch = photos(5, 40, 56, "cpu")
    found = forward.photos_to_labels(segmenter, batch)
    assert len(found) == 5
    for photo, result in zip(batch, found, strict=True):
        alone = segmenter(photo.permute(1, 2, 0).contiguous().numpy()).labels
        assert agreement(result.labels, alone) > 0.999


def test_the_readme_gets_one_photo_at_every_size_and_the_largest_batch():
    def row(size: int, batch: int, milliseconds: float | None) -> forward.Row:
        return forward.Row(size, batch, forward.OURS, milliseconds, 1.0, 1.0, 1.0, 1)

    rows = [row(224, 1, 1), row(224, 8, 1), row(512, 1, 1), row(512, 4, 1), row(512, 8, None)]
    assert forward.brief(rows) == [rows[0], rows[2], rows[3]]


def test_pages_alone_and_with_a_class_stand_in_one_row():
    rows = [
        reruns.Row(page, count, "size", 5, per_second, 10.0 * count, 20.0 * count, 1.0, 0)
        for page, per_second in (("a", 40.0), (reruns.BARE_TITLE, 20.0))
        for count in reruns.VISITORS
    ]
    rows[2] = dataclasses.replace(rows[2], per_second=60.0, p50=900.0)
    one, bare = reruns.brief(rows)
    assert dataclasses.astuple(one) == ("a", 10, 100, 900, 600, 40, 60, 1.5, 1, 3)
    assert (bare.page, bare.ratio, bare.floor, bare.floor_thirty) == (reruns.BARE_TITLE, 1, 1, 1)


def test_memory_is_that_of_an_engine_whose_visitors_leave(monkeypatch):
    left = []
    monkeypatch.setattr(Engine, "leave", lambda engine, session: left.append(session))
    monkeypatch.setattr(start, "SIZES", ((40, 56), (33, 33)))
    found = start.memory_of_photos("cpu", 60)
    assert [row.photos for row in found] == [6, 15, 30, 45, 60]
    assert (found[0].growth, found[0].ratio) == (0, 1)
    assert found[-1].growth == pytest.approx(found[-1].mib - found[0].mib)
    assert len(left) == len(set(left)) == 10  # five at a time, twice; the last ten photos' stay


@pytest.mark.parametrize("works", [True, False])
def test_the_compiled_pass_stands_beside_the_products_or_says_why_not(monkeypatch, works):
    def compiler(network: nn.Module, mode: str) -> nn.Module:
        if not works:
            raise RuntimeError("no compiler found\nin detail")
        given.append(mode)
        return network

    given: list[str] = []
    monkeypatch.setattr(torch, "compile", compiler)
    monkeypatch.setattr(compiled, "SIZES", ((40, 56), (33, 33)))
    report = compiled.measure(Options("cpu"))
    (table,) = report.tables
    rows = [row for row in table.rows if isinstance(row, compiled.Row)]
    assert [(row.size, row.way) for row in rows] == [
        (size, way) for size in ("56×40", "33×33") for way in (compiled.FUSED, compiled.COMPILED)
    ]
    assert [row.ratio for row in rows[::2]] == [1, 1]
    ours = [row for row in rows if row.way == compiled.COMPILED]
    assert all((row.milliseconds is not None) == works == (row.first is not None) for row in ours)
    assert len(report.headlines) == works
    assert ("did not work here: no compiler found" in table.notes[-1]) != works
    assert given == ["default"] * 2 * works


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_captured_pass_gives_the_scores_of_the_network():
    segmenter = three_heads("cuda")
    batch = torch.rand((1, 3, 65, 97), device="cuda", dtype=segmenter.dtype)
    found = compiled.captured(segmenter.network, batch)()
    with torch.inference_mode():
        for stride, scores in segmenter.network(batch).items():
            torch.testing.assert_close(found[stride], scores)


def test_work_is_done_without_gradients():
    layer = nn.Linear(2, 2)
    outputs = []
    awaited("cpu", lambda: outputs.append(layer(torch.ones(1, 2))))()
    assert not outputs[0].requires_grad


def test_what_would_take_too_long_or_too_much_is_left_out():
    rates = forward.Rates()
    assert rates.allow(10**9, longest=1, left=1)
    rates.time(1000, 0.5)
    rates.peak(1000, 10)
    rates.peak(2000, 1)  # hides in memory from before
    assert rates.allow(2000, longest=1.1, left=None)
    assert not rates.allow(3000, longest=1.1, left=None)
    assert rates.allow(2000, longest=9, left=40)
    assert not rates.allow(2000, longest=9, left=30)


def test_rows_and_headlines_of_the_pass():
    times = {forward.OURS: [0.1, 0.2, 0.1], forward.THREE: [0.3, 0.8, 0.3]}
    rows = [
        forward.row(size, batch, name, times, 64.0)
        for size, batch in ((224, 1), (512, 1), (512, 8))
        for name in (forward.OURS, forward.THREE, forward.LARGE)
    ]
    assert dataclasses.astuple(rows[1])[3:] == pytest.approx((300, 1 / 0.3, 64, 3, 3))
    assert dataclasses.astuple(rows[2])[3:] == (None, None, None, None, 0)
    assert rows[6].photos_per_second == pytest.approx(80)
    few = {forward.OURS: [0.1, 0.1, 0.4], forward.LARGE: [0.5]}  # it took no further turns
    large = forward.row(512, 1, forward.LARGE, few, None)
    assert (large.ratio, large.turns) == (5, 1)
    one, best = forward.headlines(rows)
    assert "512×512" in one.what
    assert one.measured == "100 ms"
    assert one.beside == "three nets 3.0× as long"
    assert best.measured == "80/s"
    assert best.beside == "at 512×512, batch 8"
    assert forward.headlines(rows[2:3]) == ()


def test_shares_of_the_roofline_by_hand():
    layers = [LayerCost("3×3", 500, 10), LayerCost("1×1", 50, 400), LayerCost("3×3", 250, 10)]
    # At 100 operations and 100 bytes a second: 10 s, 4 s and 5 s.
    rows = roofline.table("a", "b", layers, [20, 5, 5], 40, 100, 100)
    found = {row.kind: row for row in rows}
    assert list(found) == ["3×3", "1×1", roofline.REST, "the whole pass"]
    wide, one, rest, whole = found.values()
    assert (wide.layers, wide.milliseconds, wide.attainable) == (2, 25_000, 15_000)
    assert (wide.bound, wide.fraction, wide.share) == ("computing", 60, 62.5)
    assert (one.bound, one.fraction) == ("moving", 80)
    assert (rest.milliseconds, rest.share, rest.fraction) == (10_000, 25, None)
    assert whole.gmac == pytest.approx(800e-9)
    assert whole.fraction == pytest.approx(100 * 19 / 40)


def test_how_long_the_choice_of_threads_took_is_told(monkeypatch):
    monkeypatch.setattr(cpu_path, "SIZES", ((40, 56),))
    segmenter = three_heads("cpu")
    monkeypatch.setattr(segmenter, "warm_up", lambda: time.sleep(0.05))
    rows = {row.which: row for row in cpu_path.warming(segmenter)}
    choice = rows["the choice of threads, all its passes"]
    assert 50 <= choice.milliseconds < 500
    later = rows["later (median)"].milliseconds
    assert choice.ratio == pytest.approx(choice.milliseconds / later)


@pytest.mark.parametrize("dtype", list(cpu_path.DTYPES))
def test_the_pass_runs_in_every_dtype_and_memory_format(dtype):
    product = three_heads("cpu")
    given = photos(1, 40, 56, "cpu")
    with torch.inference_mode():
        expected = scores_of(product)(given)
        for network in cpu_path.variants(dtype, product).values():
            found = network(pad(given.to(cpu_path.DTYPES[dtype]) / 127.5 - 1))
            for stride, values in found.items():
                assert values.dtype == torch.float32
                torch.testing.assert_close(values, expected[stride], rtol=0.1, atol=0.5)


def test_layers_are_timed_in_a_pass():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 3))
    given = photos(1, 8, 8, "cpu").float()
    found = roofline.timed_layers(net, awaited("cpu", lambda: net(given)), "cpu")
    assert [layer.multiply_adds for layer, _ in found] == [3 * 4 * 64, 4 * 9 * 2 * 36]
    assert all(seconds > 0 for _, seconds in found)


@pytest.mark.parametrize("operation", ops_maps.operations(), ids=lambda operation: operation.name)
def test_maps_are_measured_where_they_agree_with_pytorch(operation):
    image = np.random.default_rng(3).standard_normal((6, 6))
    row = ops_maps.row(operation, image, budget=0)
    assert row.size == 6
    assert row.links > 0
    wrong = dataclasses.replace(operation, torch=lambda x: operation.torch(x) + 1e-6)
    with pytest.raises(AssertionError, match="differs from PyTorch"):
        ops_maps.row(wrong, image, budget=0)
