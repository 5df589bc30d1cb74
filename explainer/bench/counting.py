"""What a pass costs, counted from the layers themselves: multiply-adds and bytes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class LayerCost:
    """What a convolution costs in a pass.

    Attributes:
        kind: such as "1×1" or "3×3 depthwise", see `kind`.
        multiply_adds: of the whole batch, the bias not counted.
        bytes: input, weights and output, each once: less cannot be moved.
    """

    kind: str
    multiply_adds: int
    bytes: int

    def attainable(self, flops: float, bandwidth: float) -> float:
        """The fewest seconds in which a device could do it (the roofline; Williams, Waterman &
        Patterson 2009).

        Args:
            flops: floating-point operations a second, two for a multiply-add.
            bandwidth: bytes a second.
        """
        return max(2 * self.multiply_adds / flops, self.bytes / bandwidth)


def kind(layer: nn.Conv2d) -> str:
    """The kind of a convolution: kernel, and whether each channel stands alone."""
    size = "×".join(map(str, layer.kernel_size))
    alone = layer.groups > 1 and layer.groups == layer.in_channels
    return f"{size} depthwise" if alone else size


def cost(layer: nn.Conv2d, x: Tensor, y: Tensor) -> LayerCost:
    """What a convolution costs that made y, (N, outputs, h, w), of x, (N, inputs, H, W)."""
    taps = prod(layer.weight.shape[1:])  # inputs of a group × kernel
    tensors = [x, y, layer.weight, *([] if layer.bias is None else [layer.bias])]
    moved = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return LayerCost(kind(layer), taps * y.numel(), moved)


@contextmanager
def watching(
    network: nn.Module,
    before: Callable[[nn.Conv2d], None],
    after: Callable[[nn.Conv2d, Tensor, Tensor], None],
) -> Iterator[None]:
    """Call `before` and `after` around every convolution that a pass runs."""

    def on_entry(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, nn.Conv2d)
        before(layer)

    def on_exit(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        after(layer, inputs[0], output)

    handles = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            handles.append(module.register_forward_pre_hook(on_entry))
            handles.append(module.register_forward_hook(on_exit))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def costs(network: nn.Module, run: Callable[[], object]) -> list[LayerCost]:
    """What each convolution of a network costs in a pass, in the order in which they ran.

    Args:
        run: a pass; on the meta device it computes nothing.
    """
    found: list[LayerCost] = []
    with (
        watching(network, lambda layer: None, lambda *seen: found.append(cost(*seen))),
        torch.inference_mode(),
    ):
        run()
    return found


def multiply_adds(network: nn.Module, run: Callable[[], object]) -> int:
    """Multiply-adds of all convolutions of a pass."""
    return sum(layer.multiply_adds for layer in costs(network, run))
