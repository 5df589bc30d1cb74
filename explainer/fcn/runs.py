"""Runs any network of the catalogue: loads what a mode needs; gives outputs, times, memory."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from explainer.fcn import segmenter
from explainer.fcn.catalogue import FROM_FILE, NETWORKS, SMALL, mode_of
from explainer.fcn.checkpoints import Loaded, untrained
from explainer.fcn.checkpoints import load as load_checkpoint
from explainer.fcn.device import choose
from explainer.fcn.geometry import PIXELS
from explainer.fcn.labels import label_map, label_maps
from explainer.fcn.network import fuse
from explainer.fcn.published import PublishedFCN
from explainer.fcn.registry import CHECKPOINTS, verified
from explainer.fcn.result import Run, ScoreMap, Segmentation
from explainer.fcn.voc import CLASSES
from explainer.fcn.weights import WeightsError

Segment = Callable[[NDArray[np.uint8]], Segmentation]


class PublishedSegmenter:
    """A network of the paper, or FCN-ResNet50, on a device. Calls from several threads are safe.

    Args:
        loaded: the network; it is moved to the device.
        device: as `explainer.fcn.device.choose` gives it.
    """

    def __init__(self, loaded: Loaded, device: str = "cpu"):
        self.loaded = loaded
        self.device = device
        self.classes = CLASSES
        self.network = loaded.network.to(device).to(memory_format=torch.channels_last)  # pyright: ignore
        self.dtype = next(self.network.parameters()).dtype

    def __call__(self, pixels: NDArray[np.uint8]) -> Segmentation:
        """Segments one photo, (H, W, 3) uint8 RGB of any size.

        The timings are by part of the net: "prepare", "conv1" …, "scores", "labels".

        Where the weights bring an upsampling of their own, which is not bilinear, the scores are
        those at every pixel, and there is one output only, the finest.

        Raises:
            ValueError: another shape or dtype.
        """
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
            raise ValueError(
                f"a photo is (height, width, 3) uint8 with at least one pixel, not "
                f"{pixels.shape} {pixels.dtype}"
            )
        height, width, _ = pixels.shape
        timings: dict[str, float] = {}
        last = time.perf_counter()

        def after(part: str) -> None:
            nonlocal last
            if self.device.startswith("cuda"):
                torch.cuda.synchronize(self.device)
            now = time.perf_counter()
            timings[part] = now - last
            last = now

        with torch.inference_mode():
            photo = torch.from_numpy(np.array(pixels)).to(self.device).permute(2, 0, 1)[None]
            batch = self.loaded.prepared(photo).to(self.dtype)
            batch = batch.contiguous(memory_format=torch.channels_last)
            after("prepare")
            scores = self.network(batch, after)
            if isinstance(self.network, PublishedFCN) and self.network.learned:
                finest = self.network.strides[-1]
                full = self.network.output(scores, height, width)[0].contiguous()
                maps = {finest: ScoreMap(full.cpu().numpy(), PIXELS)}
                labels = {finest: label_map(full, 1, height, width).cpu().numpy()}
            else:
                lattices, fades = self.network.lattices, self.network.fades
                maps = {s: ScoreMap(scores[s][0].cpu().numpy(), lattices[s], fades) for s in scores}
                sums = {s: found[0] for s, found in fuse(scores, lattices).items()}
                found = label_maps(sums, height, width, lattices)
                labels = {s: label.cpu().numpy() for s, label in found.items()}
            after("labels")
        return Segmentation(height, width, CLASSES, maps, labels, timings, self.device)


class Runner:
    """A network in a mode, loaded.

    Args:
        title: of the network and its mode.
        says: the mode in a sentence.
        passes: what segments, by stride of the output; the same object where one pass gives
            several.
        trained: whether the labels mean something.
        one: the name of the output where the network never has another.
        ablation: whether the coarser outputs are the finest one's network with skips left out.
    """

    def __init__(
        self,
        title: str,
        says: str,
        passes: Mapping[int, Segment],
        trained: bool = True,
        one: str | None = None,
        ablation: bool = False,
    ):
        self.title = title
        self.says = says
        self.passes = dict(passes)
        self.trained = trained
        self.one = one
        self.ablation = ablation

    @property
    def outputs(self) -> tuple[int, ...]:
        """Strides of the outputs, coarse to fine."""
        return tuple(sorted(self.passes, reverse=True))

    def __call__(self, pixels: NDArray[np.uint8]) -> Run:
        """Segments one photo, (H, W, 3) uint8 RGB of any size.

        Raises:
            ValueError: another shape or dtype.
        """
        counting = torch.cuda.is_available() and torch.cuda.is_initialized()
        if counting:
            torch.cuda.reset_peak_memory_stats()
        done: dict[int, Segmentation] = {}
        results: dict[int, Segmentation] = {}
        for stride, segment in self.passes.items():
            if id(segment) not in done:
                done[id(segment)] = segment(pixels)
            results[stride] = done[id(segment)]
        peak = torch.cuda.max_memory_allocated() if counting else None
        return Run(self.title, self.says, results, peak, self.trained, self.one, self.ablation)


def load(
    network: str = SMALL,
    mode: str | None = None,
    *,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    folder: Path | None = None,
    weights: Path | None = None,
) -> Runner:
    """A network of the catalogue, ready to run; nothing is downloaded.

    Args:
        network, mode: keys in `explainer.fcn.catalogue`; without a mode, the best whose weights
            are on this machine.
        device: "cpu", "cuda", "mps" …; None: the environment's choice, else the fastest.
        dtype: of a published network's trunk; None: the fastest on the device.
        folder: where the weights are; None: the cache.
        weights: a file of one's own instead; then there is no choice of mode.

    Raises:
        FileError: weights are not on this machine, or not those that were published.
        WeightsError: a file does not hold the network's weights.
        ValueError: no such network, mode or device.
    """
    mode, chosen = mode_of(network, mode)
    title, one = NETWORKS[network].title, NETWORKS[network].one
    if network == SMALL:
        small = segmenter.Segmenter.load(weights=weights, device=device)
        return Runner(title, chosen.says, dict.fromkeys(NETWORKS[SMALL].outputs, small))
    device = choose(device)
    dtype = dtype or segmenter.trunk_dtype(device)
    if weights is not None:
        loaded = load_checkpoint(weights, network, dtype)
        says = FROM_FILE
        if not loaded.trained:
            says += " No score layers, so random ones: the labels mean nothing."
        ablation = loaded.trained and len(_outputs(loaded)) > 1
        if ablation:
            says += " The coarser outputs leave its skips out: an ablation."
        return _one_pass(f"{title}, {weights.name}", says, loaded, device, one, ablation)
    name = f"{title}, {chosen.title[0].lower()}{chosen.title[1:]}"
    if not chosen.checkpoints:
        return _one_pass(name, chosen.says, untrained(network, dtype=dtype), device, one)
    paths = {key: verified(CHECKPOINTS[key], folder) for key in chosen.checkpoints}
    nets = {key: load_checkpoint(path, network, dtype) for key, path in paths.items()}
    for key, loaded in nets.items():
        expected = CHECKPOINTS[key].stride
        if expected is not None and (not loaded.trained or loaded.network.strides[-1] != expected):
            raise WeightsError(
                f"{paths[key].name} does not hold the weights of {CHECKPOINTS[key].title}, but "
                "those of another output"
            )
    if len(nets) == 1:
        only = next(iter(nets.values()))
        return _one_pass(name, chosen.says, only, device, one, chosen.ablation)
    return Runner(
        name,
        chosen.says,
        {net.network.strides[-1]: PublishedSegmenter(net, device) for net in nets.values()},
    )


def _one_pass(
    title: str,
    says: str,
    loaded: Loaded,
    device: str,
    one: str | None,
    ablation: bool = False,
) -> Runner:
    segment = PublishedSegmenter(loaded, device)
    passes = dict.fromkeys(_outputs(loaded), segment)
    return Runner(title, says, passes, loaded.trained, one, ablation)


def _outputs(loaded: Loaded) -> tuple[int, ...]:
    """The strides of the outputs of one pass: where the upsampling is learned only the finest."""
    strides = loaded.network.strides
    return strides[-1:] if loaded.network.learned else strides
