"""The networks that can be run, and the ways to run each; nothing here costs the import of torch.

from explainer.fcn import catalogue, runs

mode = catalogue.NETWORKS["fcn-vgg16"].modes["skips-left-out"]
mode.missing()  # checkpoints to download first, with their sizes; `registry.fetch` does it
run = runs.load("fcn-vgg16", "skips-left-out")
run(pixels).labels[8]
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from explainer.fcn.registry import CHECKPOINTS, Checkpoint, find

SMALL = "small"
"""The bundled network."""

SKIP_NAMES: Mapping[int, str] = {32: "stride 32", 16: "pool4", 8: "pool3"}
"""What the paper calls the features that each stride's scores come from."""


def output_name(stride: int, ablated: int | None = None) -> str:
    """What an output is called: "FCN-16s", or "FCN-8s without pool3".

    Args:
        stride: of the output.
        ablated: the stride of the network's finest output, where the coarser ones are this network
            with skips left out, not networks trained for them.
    """
    if ablated is None or stride == ablated:
        return f"FCN-{stride}s"
    left_out = [name for skip, name in SKIP_NAMES.items() if ablated <= skip < stride]
    return f"FCN-{ablated}s without {left_out[0] if len(left_out) == 1 else 'skips'}"


@dataclass(frozen=True)
class Mode:
    """A way to run a network.

    Attributes:
        title: a name that says what is shown.
        says: a sentence for the audience.
        checkpoints: keys of the weights that it needs, one for each pass.
        trained: whether its labels mean something.
        ablation: whether the coarser outputs are the finest one's network with skips left out.
    """

    title: str
    says: str
    checkpoints: tuple[str, ...] = ()
    trained: bool = True
    ablation: bool = False

    def missing(self, folder: Path | None = None) -> dict[str, Checkpoint]:
        """The checkpoints that are not in the folder (by default the cache), by key."""
        needed = {key: CHECKPOINTS[key] for key in self.checkpoints}
        return {key: found for key, found in needed.items() if find(found, folder) is None}


@dataclass(frozen=True)
class Network:
    """A network and its modes by key, the best first.

    Attributes:
        outputs: strides of its outputs, coarse to fine.
    """

    title: str
    outputs: tuple[int, ...]
    modes: Mapping[str, Mode]

    @property
    def one(self) -> str | None:
        """The name of its output if it never has another."""
        return self.title if len(self.outputs) == 1 else None

    def names(self, mode: Mode) -> list[str]:
        """What its outputs in a mode are called, coarse to fine."""
        ablated = self.outputs[-1] if mode.ablation else None
        return [self.one or output_name(stride, ablated) for stride in self.outputs]


UNTRAINED = Mode(
    "Untrained",
    "Random weights: shapes and times are real, the labels mean nothing.",
    trained=False,
)

FROM_FILE = "In one pass."
"""What is said of a file of one's own before it is read; what is found in it comes after."""

NETWORKS: Mapping[str, Network] = {
    SMALL: Network(
        "FCN-MobileNetV2",
        (32, 16, 8),
        {"bundled": Mode("Bundled weights", "One trunk, three heads trained together, one pass.")},
    ),
    "fcn-vgg16": Network(
        "FCN-VGG16",
        (32, 16, 8),
        {
            "as-published": Mode(
                "As published",
                "Three networks, each trained on from the coarser one, so their trunks differ.",
                ("fcn32s", "fcn16s", "fcn8s"),
            ),
            "skips-left-out": Mode(
                "Skips left out",
                "FCN-8s in one pass; the coarser outputs leave its skips out: an ablation.",
                ("fcn8s",),
                ablation=True,
            ),
            "at-once": Mode(
                "At once, skips left out",
                "FCN-8s trained in one go; the coarser outputs leave its skips out: an ablation.",
                ("fcn8s-atonce",),
                ablation=True,
            ),
            "imagenet-trunk": Mode(
                "ImageNet trunk, scores untrained",
                "The trunk is ImageNet's, the scores are random: the labels mean nothing.",
                ("vgg16-imagenet",),
                trained=False,
            ),
            "untrained": UNTRAINED,
        },
    ),
    "fcn-alexnet": Network(
        "FCN-AlexNet",
        (32,),
        {
            "as-published": Mode("As published", "One output, at stride 32.", ("fcn-alexnet",)),
            "untrained": UNTRAINED,
        },
    ),
    "fcn-googlenet": Network("FCN-GoogLeNet", (32,), {"untrained": UNTRAINED}),
    "fcn-resnet50": Network(
        "FCN-ResNet50",
        (8,),
        {
            "as-published": Mode(
                "As published",
                "torchvision's, to compare: dilated instead of strided, one output, no skips.",
                ("fcn-resnet50",),
            ),
            "untrained": UNTRAINED,
        },
    ),
}
"""All of them by name. FCN-GoogLeNet's weights were never released."""


def mode_of(network: str, mode: str | None = None) -> tuple[str, Mode]:
    """A network's mode and its key; without one, the first whose weights are all on this machine.

    Untrained modes are never chosen unasked: without any weights it is the first one.

    Raises:
        ValueError: there is no such network or mode.
    """
    if network not in NETWORKS:
        raise ValueError(f"there is no network {network!r}: choose one of {', '.join(NETWORKS)}")
    modes = NETWORKS[network].modes
    if mode is None:
        ready = (key for key, found in modes.items() if found.trained and not found.missing())
        mode = next(ready, next(iter(modes)))
    if mode not in modes:
        title = NETWORKS[network].title
        raise ValueError(f"{title} has no mode {mode!r}: choose one of {', '.join(modes)}")
    return mode, modes[mode]
