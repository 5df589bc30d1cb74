"""The pass that a CUDA graph captures: what of it a CPU can check, and the rest where CUDA is."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from explainer.fcn.engine import Engine
from explainer.fcn.graphs import filled, whole_pass
from explainer.fcn.labels import dense_label_map, label_map
from explainer.fcn.segmenter import Segmenter
from explainer.fcn.weights import load_small

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def test_a_static_pass_gives_what_the_segmenter_gives():
    """Two photos of different sizes in one bucket, with rubbish where the padding is."""
    cat = data.chelsea()
    photos = [cat[:289, :449], cat[:280, 20:440]]
    segmenter = Segmenter(load_small(), "cpu", dtype=torch.float32)
    batch = torch.full((2, 289, 449, 3), 200, dtype=torch.uint8)
    for index, photo in enumerate(photos):
        batch[index, : photo.shape[0], : photo.shape[1]] = torch.from_numpy(photo.copy())
    sizes = torch.tensor([photo.shape[:2] for photo in photos], dtype=torch.int32)
    with torch.inference_mode():
        scores, labels = whole_pass(segmenter.network, torch.float32, batch, sizes)
    for index, photo in enumerate(photos):
        alone = segmenter(photo)
        height, width, _ = photo.shape
        for stride, found in alone.scores.items():
            values = scores[stride][index].numpy()
            np.testing.assert_allclose(values, found.values, rtol=1e-4, atol=2e-3)
            same = labels[stride][index, :height, :width].numpy() == alone.labels[stride]
            assert same.mean() >= 0.999


class Crossings(TorchDispatchMode):
    """Notes every operation that reads from one device and writes to another."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        read, written = (
            {part.device.type for part in tree_leaves(parts) if isinstance(part, torch.Tensor)}
            for parts in ((args, kwargs), result)
        )
        if read and written - read:
            self.found.append(f"{func}: {read} to {written}")
        return result


def test_a_static_pass_copies_nothing_from_this_machines_memory():
    """A capture may not: such a copy waits for the device. "meta" stands for one."""
    photos = torch.zeros((2, 65, 97, 3), dtype=torch.uint8, device="meta")
    sizes = torch.ones((2, 2), dtype=torch.int32, device="meta")
    network = load_small().to("meta")
    with torch.inference_mode(), Crossings() as crossings:
        torch.zeros(1).to("meta")
        assert crossings.found.pop().endswith("{'cpu'} to {'meta'}")
        whole_pass(network, torch.float32, photos, sizes)
    assert crossings.found == []


@settings(max_examples=25, deadline=None)
@given(
    stride=st.sampled_from([8, 16, 32]),
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    seed=st.integers(0, 2**16),
)
def test_every_pixel_interpolated_gives_the_labels_of_the_outlines_alone(
    stride, rows, columns, seed
):
    scores = torch.randn((2, 4, rows, columns), generator=torch.Generator().manual_seed(seed))
    height, width = stride * (rows - 1) + 1, stride * (columns - 1) + 1
    dense = dense_label_map(scores, stride, height, width)
    for index in range(2):
        sparse = label_map(scores[index], stride, height, width)
        # Where two classes are as good as equal, rounding decides.
        assert (dense[index] == sparse).float().mean() >= 0.99


def test_cells_that_do_not_reach_the_border_are_refused():
    with pytest.raises(ValueError, match="do not cover 10×9"):
        dense_label_map(torch.zeros(1, 2, 2, 2), 8, 10, 9)


def test_batches_are_filled_up_to_a_power_of_two():
    assert [filled(number) for number in (1, 2, 3, 4, 5, 16)] == [1, 2, 4, 4, 8, 16]
    with pytest.raises(ValueError, match="at least one"):
        filled(0)


@pytest.mark.cuda
@cuda
def test_graphs_give_the_labels_of_the_cpu_whatever_shares_the_batch():
    reference = Segmenter(load_small(), "cpu", dtype=torch.float32)
    segmenter = Segmenter.load(device="cuda")
    cat = data.chelsea()
    photos = [cat[:289, :449], cat[:280, 20:440], cat[5:290, :430]]
    for _ in range(2):  # captured, then replayed
        together = segmenter.launch(photos)()
        for photo, found in zip(photos, together, strict=True):
            alone, expected = segmenter(photo), reference(photo)
            for stride in (32, 16, 8):
                assert (found.labels[stride] == alone.labels[stride]).mean() >= 0.999
                assert (found.labels[stride] == expected.labels[stride]).mean() > 0.985


@pytest.mark.cuda
@cuda
def test_overlapping_passes_are_not_mixed_up_on_cuda():
    segmenter = Segmenter.load(device="cuda")
    engine = Engine(lambda: segmenter)
    cat = data.chelsea()
    photos = [np.roll(cat, 7 * number, axis=1) for number in range(40)]
    tickets = [engine.segment(number, photo) for number, photo in enumerate(photos)]
    # While the engine's thread starts passes of its own, with the same graphs.
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(segmenter, photos))
    for ticket, expected in zip(tickets, alone, strict=True):
        found = ticket.result(120).result
        assert (found.labels[8] == expected.labels[8]).mean() >= 0.999
    engine.close()
    for photo, expected in zip(photos, alone, strict=True):
        assert (segmenter(photo).labels[8] == expected.labels[8]).mean() >= 0.999
