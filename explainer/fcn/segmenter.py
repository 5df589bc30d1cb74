"""Photos in, segmentations out: the network on its device, in the form that runs fastest there."""

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explainer.fcn.device import choose
from explainer.fcn.labels import label_maps
from explainer.fcn.network import FCN, Head, fuse, pad
from explainer.fcn.result import ScoreMap, Segmentation
from explainer.fcn.voc import CLASSES
from explainer.fcn.weights import load_small


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


class Segmenter:
    """A network on a device. Calls from several threads are safe: nothing is written.

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
        chosen = choose(device)
        return cls(load_small(None if weights is None else Path(weights)), chosen)

    def scores(self, photos: Tensor) -> dict[int, Tensor]:
        """Score maps (N, classes, h, w) fp32 by stride of photos (N, 3, H, W) uint8."""
        batch = pad(photos.to(self.dtype) / 127.5 - 1)
        batch = batch.contiguous(memory_format=torch.channels_last)
        return self.network(batch)

    def __call__(self, pixels: NDArray[np.uint8]) -> Segmentation:
        """Segments one photo, (H, W, 3) uint8 RGB of any size.

        Raises:
            ValueError: another shape or dtype.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
            raise ValueError(
                f"a photo is (height, width, 3) uint8 with at least one pixel, not "
                f"{pixels.shape} {pixels.dtype}"
            )
        height, width, _ = pixels.shape
        began = time.perf_counter()
        with torch.inference_mode():
            photo = torch.from_numpy(np.array(pixels)).to(self.device).permute(2, 0, 1)[None]
            scores = self.scores(photo)
            maps = {stride: found[0].cpu().numpy() for stride, found in scores.items()}
            forward = time.perf_counter()
            sums = {s: found[0] for s, found in fuse(scores, self.lattices).items()}
            labels = {s: m.cpu().numpy() for s, m in label_maps(sums, height, width).items()}
        return Segmentation(
            height,
            width,
            self.classes,
            {stride: ScoreMap(maps[stride], self.lattices[stride]) for stride in maps},
            labels,
            {"forward": forward - began, "labels": time.perf_counter() - forward},
            self.device,
        )
