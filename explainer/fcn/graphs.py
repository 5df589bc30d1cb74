"""Passes on a CUDA device: captured graphs, pinned memory, copies beside the computation.

A pass of the small network is some 120 short kernels, which take less time than starting them one
by one. A CUDA graph starts all at once, but for fixed addresses: one graph a batch size and bucket,
photos and their sizes copied in, results copied out. Photos travel as uint8 (a quarter of fp32),
label maps come back as uint8.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explainer.fcn.geometry import padded_size
from explainer.fcn.labels import dense_label_map
from explainer.fcn.network import FCN, fuse

KEPT = 16
"""Graphs kept, the last used. They share one pool of memory."""

Results = tuple[dict[int, NDArray[np.float32]], list[dict[int, NDArray[np.uint8]]]]
"""Score maps (N, classes, h, w) by stride, and for each photo its label maps by stride."""


def whole_pass(
    network: FCN, dtype: torch.dtype, photos: Tensor, sizes: Tensor
) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
    """Photos to scores and labels by operations whose shapes and control flow never change.

    Args:
        network: maps (N, 3, H, W) of `dtype` to score maps by stride.
        photos: (N, H, W, 3) uint8, H and W padded; what the padding holds does not matter.
        sizes: (N, 2) heights and widths of the photos themselves.

    Returns:
        Score maps (N, classes, h, w) fp32 and labels (N, H, W) uint8, by stride.
    """
    height, width = photos.shape[1:3]
    rows = torch.arange(height, device=photos.device) < sizes[:, :1]
    columns = torch.arange(width, device=photos.device) < sizes[:, 1:]
    inside = (rows[:, :, None] & columns[:, None, :])[:, None]
    batch = (photos.permute(0, 3, 1, 2).to(dtype) / 127.5 - 1) * inside
    scores = network(batch.contiguous(memory_format=torch.channels_last))
    labels = {
        stride: dense_label_map(found, stride, height, width)
        for stride, found in fuse(scores, network.lattices).items()
    }
    return scores, labels


class GraphedPasses:
    """A network on a CUDA device, one captured graph for each batch size and bucket.

    Calls from several threads are safe. One at a time starts a pass: a graph has one place for its
    photos.

    Args:
        network: on the device, in evaluation mode.
        device: "cuda", "cuda:1" …
        dtype: of the trunk.
        largest: photos in a batch at most. Batches are filled up to a power of two, so that few
            graphs serve all.
    """

    def __init__(self, network: FCN, device: str, dtype: torch.dtype, largest: int):
        self.network = network
        self.device = torch.device(device)
        self.dtype = dtype
        self.largest = largest
        self._graphs: OrderedDict[tuple[int, int, int], _Graph] = OrderedDict()
        self._starting = threading.Lock()
        self._pool = torch.cuda.graph_pool_handle()
        self._inward, self._compute, self._outward = (
            torch.cuda.Stream(self.device) for _ in range(3)
        )

    def launch(self, photos: Sequence[NDArray[np.uint8]]) -> Callable[[], Results]:
        """Start a pass for photos of one bucket; what it returns waits for the results.

        Raises:
            ValueError: more photos than the largest batch.
            torch.OutOfMemoryError: the device's memory does not suffice.
        """
        if len(photos) > self.largest:
            raise ValueError(f"a pass takes at most {self.largest} photos, not {len(photos)}")
        number = filled(len(photos))
        height, width = (padded_size(side) for side in photos[0].shape[:2])
        pixels = torch.zeros((number, height, width, 3), dtype=torch.uint8, pin_memory=True)
        sizes = torch.zeros((number, 2), dtype=torch.int32, pin_memory=True)
        for index, photo in enumerate(photos):
            rows, columns, _ = photo.shape
            pixels.numpy()[index, :rows, :columns] = photo
            sizes.numpy()[index] = rows, columns
        with self._starting, torch.inference_mode(), torch.cuda.device(self.device):
            graph = self._graph(number, height, width)
            with torch.cuda.stream(self._inward):
                staged = [part.to(self.device, non_blocking=True) for part in (pixels, sizes)]
            self._compute.wait_stream(self._inward)
            with torch.cuda.stream(self._compute):
                for part in staged:
                    part.record_stream(self._compute)
                # Copies, since the next pass writes over the graph's own.
                results = [part.clone() for part in graph.replay(*staged)]
            self._outward.wait_stream(self._compute)
            with torch.cuda.stream(self._outward):
                host = []
                for part in results:
                    part.record_stream(self._outward)
                    pinned = torch.empty(part.shape, dtype=part.dtype, pin_memory=True)
                    host.append(pinned.copy_(part, non_blocking=True))
                done = torch.cuda.Event()
                done.record(self._outward)

        def wait() -> Results:
            done.synchronize()
            return _parted(host, self.network, photos)

        return wait

    def clear(self) -> None:
        """Drop all graphs and the memory that they hold, when what is under way is done."""
        with self._starting:
            torch.cuda.synchronize(self.device)
            self._graphs.clear()
            torch.cuda.empty_cache()

    def _graph(self, number: int, height: int, width: int) -> "_Graph":
        key = number, height, width
        if key in self._graphs:
            self._graphs.move_to_end(key)
        else:
            photos = torch.zeros((number, height, width, 3), dtype=torch.uint8, device=self.device)
            sizes = torch.ones((number, 2), dtype=torch.int32, device=self.device)
            self._graphs[key] = _Graph(
                lambda: whole_pass(self.network, self.dtype, photos, sizes),
                photos,
                sizes,
                self._compute,
                self._pool,
            )
            while len(self._graphs) > KEPT:
                self._graphs.popitem(last=False)
        return self._graphs[key]


class _Graph:
    """One captured pass; results in a fixed order, scores then labels, coarse to fine."""

    def __init__(
        self,
        work: Callable[[], tuple[dict[int, Tensor], dict[int, Tensor]]],
        photos: Tensor,
        sizes: Tensor,
        stream: torch.cuda.Stream,
        pool: Any,  # what torch.cuda.graph_pool_handle gives
    ):
        self.photos, self.sizes = photos, sizes
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):  # libraries choose their kernels, which a capture may not
                work()
        stream.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        # Other threads wait for their results and make pinned memory meanwhile, which would end a
        # capture that minds the whole process.
        with torch.cuda.graph(
            self.graph, pool=pool, stream=stream, capture_error_mode="thread_local"
        ):
            scores, labels = work()
        self.results = [*scores.values(), *labels.values()]

    def replay(self, photos: Tensor, sizes: Tensor) -> list[Tensor]:
        """The graph's own results for a batch, valid until the next replay."""
        self.photos.copy_(photos)
        self.sizes.copy_(sizes)
        self.graph.replay()
        return self.results


def filled(number: int) -> int:
    """The batch size that serves `number` photos: the next power of two.

    Raises:
        ValueError: no photo.
    """
    if number < 1:
        raise ValueError("a pass takes at least one photo")
    return 1 << (number - 1).bit_length()


def _parted(host: list[Tensor], network: FCN, photos: Sequence[NDArray[np.uint8]]) -> Results:
    strides = list(network.lattices)
    maps = {s: part.numpy() for s, part in zip(strides, host[: len(strides)], strict=True)}
    full = dict(zip(sorted(strides, reverse=True), host[len(strides) :], strict=True))
    labels = [
        {
            # A copy: pinned memory is scarce, and holds the other photos of the batch.
            stride: np.array(found[index, : photo.shape[0], : photo.shape[1]].numpy())
            for stride, found in full.items()
        }
        for index, photo in enumerate(photos)
    ]
    return maps, labels
