"""The public network that training starts from and learns from: DeepLab v3 on MobileNetV2.

The file holds the convolutions of a network in the order in which they run, batch norm folded.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from explainer.fcn.mobilenet import CHANNELS, MobileNetV2
from explainer.fcn.network import FCN, ContextHead, pad
from explainer.training.precision import autocast

EVERY = 8
"""Pixels from one of the teacher's soft labels to the next."""

SCALES = (0.75, 1.0, 1.33)
"""Enlargements at which the teacher looks at a photo."""


def _fill(module: nn.Module, state: dict[str, Tensor], start: int) -> int:
    """Copies convolutions number `start` and on into a module's, in order; returns the next."""
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                layer.weight.copy_(state[f"{start:03d}.weight"])
                layer.bias.copy_(state[f"{start:03d}.bias"])
                start += 1
    return start


class Teacher(nn.Module):
    """DeepLab as published: the trunk at stride 16 with dilation 2, and its head."""

    def __init__(self, state: dict[str, Tensor]):
        super().__init__()
        self.trunk = MobileNetV2(dilated=True)
        self.head = ContextHead(CHANNELS[32], 256, 21)
        head = _fill(self.trunk, state, 0)
        # The file lists local, photo, join, score: the order in which ContextHead declares them.
        _fill(self.head, state, head)

    def forward(self, photos: Tensor) -> Tensor:
        """Scores (N, 21, h, w) at stride 16 of photos (N, 3, 32n+1, 32m+1) in -1 … 1."""
        return self.head(self.trunk(photos)[32])

    @torch.inference_mode()
    def soft_labels(self, photo: NDArray[np.uint8], device: str) -> NDArray[np.float16]:
        """What the teacher thinks of a photo: its softmax averaged over scales and mirroring.

        Args:
            photo: (H, W, 3) uint8.

        Returns:
            Probabilities (h, w, 21) at the pixels (8i, 8j), the last ones at or beyond the edge.
        """
        height, width, _ = photo.shape
        whole = torch.from_numpy(np.array(photo)).to(device).permute(2, 0, 1)[None] / 127.5 - 1
        rows, columns = (-(-(side - 1) // EVERY) + 1 for side in (height, width))
        total = torch.zeros(1, 21, rows, columns, device=device)
        for scale in SCALES:
            size = [max(1, round(side * scale)) for side in (height, width)]
            scaled = F.interpolate(whole, size=size, mode="bilinear", antialias=scale < 1)
            both = pad(torch.cat((scaled, scaled.flip(3))))
            with autocast(device):
                scores = self(both.contiguous(memory_format=torch.channels_last)).float()
            places = []
            for count, side, enlarged in zip((rows, columns), (height, width), size, strict=True):
                at = torch.arange(count, device=device) * EVERY
                places.append(((at + 0.5) * enlarged / side - 0.5) / 16)
            for one, mirrored in ((scores[:1], False), (scores[1:], True)):
                across = (size[1] - 1) / 16 - places[1] if mirrored else places[1]
                # grid_sample counts from -1 at the first cell to 1 at the last.
                grid = [
                    2 * place / max(cells - 1, 1) - 1
                    for place, cells in ((across, one.shape[3]), (places[0], one.shape[2]))
                ]
                x, y = torch.meshgrid(*grid, indexing="xy")
                total += F.grid_sample(
                    one, torch.stack((x, y), -1)[None], align_corners=True, padding_mode="border"
                ).softmax(1)
        mean = total[0].permute(1, 2, 0) / (2 * len(SCALES))
        return mean.half().contiguous().cpu().numpy()


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of the starting weights, as float32."""
    return {name: tensor.float() for name, tensor in load_file(path).items()}


def start_from(network: FCN, state: dict[str, Tensor]) -> None:
    """Gives the network the published trunk and, as its stride-32 head, the published head."""
    head = _fill(network.trunk, state, 0)
    _fill(network.heads["32"], state, head)
