"""How good a network is: the paper's measures, overall and near the outlines of objects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from explainer.fcn.labels import label_map
from explainer.fcn.network import FCN, STRIDES, fuse, pad
from explainer.fcn.voc import CLASSES
from explainer.training.data import Example
from explainer.training.metrics import Metrics, boundary_band, confusion, metrics
from explainer.training.precision import autocast

BAND = 5
"""Width in pixels of the band around the outlines."""


@dataclass(frozen=True)
class Evaluation:
    """Measures of the three outputs by stride: on all pixels, and in the band of 5 pixels."""

    overall: dict[int, Metrics]
    boundary: dict[int, Metrics]
    photos: int


def evaluate(
    network: FCN, examples: Sequence[Example], device: str, dtype: torch.dtype, progress: bool
) -> Evaluation:
    """Runs the network on whole photos, one at a time, at their own size."""
    from tqdm import tqdm

    classes = len(CLASSES)
    overall = {stride: np.zeros((classes, classes), np.int64) for stride in STRIDES}
    boundary = {stride: np.zeros((classes, classes), np.int64) for stride in STRIDES}
    training = network.training
    network.eval()
    for example in tqdm(examples, "evaluating", unit="photo", disable=not progress, leave=False):
        height, width = example.labels.shape
        photo = torch.from_numpy(np.array(example.photo)).to(device).permute(2, 0, 1)[None]
        with torch.inference_mode(), autocast(device, dtype):
            batch = pad(photo.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
            scores = {stride: maps.float() for stride, maps in network(batch).items()}
        band = boundary_band(example.labels, BAND)
        with torch.inference_mode():
            sums = fuse(scores, network.lattices)
        for stride in STRIDES:
            predicted = label_map(sums[stride][0], stride, height, width).cpu().numpy()
            overall[stride] += confusion(example.labels, predicted, classes)
            boundary[stride] += confusion(example.labels[band], predicted[band], classes)
    network.train(training)
    return Evaluation(
        {stride: metrics(counts) for stride, counts in overall.items()},
        {stride: metrics(counts) for stride, counts in boundary.items()},
        len(examples),
    )


def table(evaluation: Evaluation) -> str:
    """The figures as a Markdown table, and one of the classes."""
    lines = [
        "| | pixel accuracy | mean accuracy | mean IU | f.w. IU |",
        "|---|---|---|---|---|",
    ]
    for title, found in (
        ("", evaluation.overall),
        (f", {BAND} px around outlines", evaluation.boundary),
    ):
        for stride in STRIDES:
            m = found[stride]
            figures = (m.pixel_accuracy, m.mean_accuracy, m.mean_iu, m.frequency_weighted_iu)
            lines.append(
                f"| FCN-{stride}s{title} | " + " | ".join(f"{f:.3f}" for f in figures) + " |"
            )
    lines += ["", "| IU by class | 32s | 16s | 8s |", "|---|---|---|---|"]
    for index, name in enumerate(CLASSES):
        figures = " | ".join(f"{evaluation.overall[stride].iu[index]:.3f}" for stride in STRIDES)
        lines.append(f"| {name} | {figures} |")
    return "\n".join(lines)
