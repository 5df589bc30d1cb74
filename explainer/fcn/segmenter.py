"""Photos in, segmentations out: the network on its device, in the form that runs fastest there."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from explainer.fcn import cpu
from explainer.fcn.device import choose, free_memory
from explainer.fcn.geometry import padded_size
from explainer.fcn.graphs import GraphedPasses
from explainer.fcn.labels import label_maps
from explainer.fcn.network import FCN, Head, fuse, pad
from explainer.fcn.result import ScoreMap, Segmentation
from explainer.fcn.voc import CLASSES
from explainer.fcn.weights import load_small

Photo = NDArray[np.uint8]
"""(H, W, 3) RGB."""

LARGEST_BATCH = {"cuda": 16, "cpu": 4}
"""Photos in one pass, by kind of device; elsewhere one."""
CPU_BATCH_PIXELS = 385 * 385
"""Of a bucket, up to which photos share a pass on a CPU: larger ones keep its cores busy alone."""


def trunk_dtype(device: str) -> torch.dtype:
    """bf16 where the device multiplies it faster than fp32, else fp32.

    fp16 is left out: activations without batch norm may exceed its range.
    """
    kind = device.split(":")[0]
    if kind == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    # Processors without bf16 instructions emulate them, more slowly than they compute in fp32.
    # Older PyTorch cannot tell.
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    native = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if kind == "cpu" and native else torch.float32


def check(photo: Photo) -> None:
    """Raises ValueError for what is no photo, (H, W, 3) uint8 with at least one pixel."""
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or not photo.size:
        raise ValueError(
            f"a photo is (height, width, 3) uint8 with at least one pixel, not "
            f"{photo.shape} {photo.dtype}"
        )


def bucket(photo: Photo) -> tuple[int, int]:
    """The height and width that a photo is padded to; photos of one bucket can share a pass.

    It is the size that the photo gets alone too. With more padding its labels would depend on its
    neighbours: biases make the padding anything but grey after the first layer, and the coarsest
    head averages over all of it.
    """
    return padded_size(photo.shape[0]), padded_size(photo.shape[1])


class Batching(Protocol):
    """What tells how many photos share a pass.

    Attributes:
        largest_batch: photos, at most.
        batch_pixels: of a bucket, above which every photo has a pass of its own.
    """

    @property
    def largest_batch(self) -> int: ...

    @property
    def batch_pixels(self) -> float: ...


def together(network: Batching, size: tuple[int, int]) -> int:
    """How many photos of a bucket may share a pass."""
    return network.largest_batch if size[0] * size[1] <= network.batch_pixels else 1


class Segmenter:
    """A network on a device. Calls from several threads are safe.

    Args:
        network: in evaluation mode.
        device: as `explainer.fcn.device.choose` gives it.
        classes: their names.
        dtype: of trunk and heads; their last layers, which give the scores, and all that follows
            are fp32. None: the fastest.
    """

    def __init__(
        self,
        network: FCN,
        device: str = "cpu",
        classes: tuple[str, ...] = CLASSES,
        dtype: torch.dtype | None = None,
    ):
        self.device = device
        self.dtype = trunk_dtype(device) if dtype is None else dtype
        self.classes = classes
        self.network = network.to(device, self.dtype).to(memory_format=torch.channels_last)  # pyright: ignore
        for head in self.network.heads.values():
            assert isinstance(head, Head)
            head.score.float()
        self.lattices = network.lattices
        kind = device.split(":")[0]
        # On CUDA, copies of one pass run beside the computation of another.
        self.passes_at_once = 2 if kind == "cuda" else 1
        self.largest_batch = LARGEST_BATCH.get(kind, 1)
        self.batch_pixels = CPU_BATCH_PIXELS if kind == "cpu" else math.inf
        self._passes = None
        if kind == "cuda":
            self._passes = GraphedPasses(self.network, device, self.dtype, self.largest_batch)
        elif kind == "cpu":
            cpu.fuse(self.network, self.dtype)

    @classmethod
    def load(cls, weights: str | Path | None = None, device: str | None = None) -> "Segmenter":
        """The bundled network, or a file's weights in it.

        Args:
            weights: a .safetensors file; None for the bundled one.
            device: "cpu", "cuda", "mps" …; None: the environment's choice, else the fastest.

        Raises:
            WeightsError: the weights cannot be used.
            ValueError: there is no such device.
        """
        cpu.use_huge_pages()
        chosen = choose(device)
        return cls(load_small(None if weights is None else Path(weights)), chosen)

    def warm_up(self, side: int = 385) -> None:
        """Run once, so that the first photo does not pay for it; on a CPU, choose the threads."""
        grey = np.full((side, side, 3), 127, np.uint8)
        if self.device == "cpu":
            cpu.tune_threads(lambda: self(grey))
        else:
            self(grey)

    def __call__(self, pixels: Photo) -> Segmentation:
        """Segments one photo, (H, W, 3) uint8 RGB of any size.

        Raises:
            ValueError: another shape or dtype.
        """
        return self.launch([pixels])()[0]

    def launch(self, photos: Sequence[Photo]) -> Callable[[], list[Segmentation]]:
        """Start a pass for several photos; what it returns waits for the segmentations.

        On CUDA the device computes meanwhile, so that the next pass can be made ready.

        Raises:
            ValueError: not photos, or not of one bucket.
        """
        began = time.perf_counter()
        for photo in photos:
            check(photo)
        buckets = {bucket(photo) for photo in photos}
        if len(buckets) != 1:
            raise ValueError(f"photos of one pass have one padded size, not {sorted(buckets)}")
        if self._passes is not None:
            done = self._passes.launch(photos)
            return lambda: self._segmentations(photos, *done(), began)
        computed = self._computed(photos, began)
        return lambda: computed

    def release(self) -> None:
        """Give back the memory that only makes the next pass faster."""
        if self._passes is not None:
            self._passes.clear()
        free_memory(self.device)

    def _computed(self, photos: Sequence[Photo], began: float) -> list[Segmentation]:
        with torch.inference_mode():
            batch = torch.cat([pad(self._normalised(photo)) for photo in photos])
            scores = self.network(batch.contiguous(memory_format=torch.channels_last))
            maps = {stride: found.cpu().numpy() for stride, found in scores.items()}
            sums = fuse(scores, self.lattices)
            forward = time.perf_counter()
            labels: list[dict[int, NDArray[np.uint8]]] = []
            for number, photo in enumerate(photos):
                own = {stride: found[number] for stride, found in sums.items()}
                found = label_maps(own, *photo.shape[:2])
                labels.append({stride: label.cpu().numpy() for stride, label in found.items()})
        return self._segmentations(photos, maps, labels, began, forward)

    def _normalised(self, photo: Photo) -> torch.Tensor:
        # The copy: a photo may be read-only, which PyTorch does not know.
        pixels = torch.from_numpy(np.array(photo)).to(self.device).permute(2, 0, 1)[None]
        return pixels.to(self.dtype) / 127.5 - 1

    def _segmentations(
        self,
        photos: Sequence[Photo],
        maps: Mapping[int, NDArray[np.float32]],
        labels: Sequence[Mapping[int, NDArray[np.uint8]]],
        began: float,
        forward: float | None = None,
    ) -> list[Segmentation]:
        """Args: `maps` (N, classes, h, w) by stride; `forward` ends the pass, None: labels too."""
        now = time.perf_counter()
        forward = forward or now
        return [
            Segmentation(
                photo.shape[0],
                photo.shape[1],
                self.classes,
                {
                    # A copy of its own: one photo of a batch does not keep the others' scores.
                    stride: ScoreMap(np.array(maps[stride][number]), self.lattices[stride])
                    for stride in maps
                },
                labels[number],
                {"forward": forward - began, "labels": now - forward},
                self.device,
            )
            for number, photo in enumerate(photos)
        ]
