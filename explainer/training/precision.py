"""In which precision the networks multiply while training."""

import torch

from explainer.fcn.segmenter import trunk_dtype


def autocast(device: str, dtype: torch.dtype | None = None) -> torch.autocast:
    """A context in which convolutions run in `dtype`.

    Args:
        device: as `explainer.fcn.device.choose` gives it.
        dtype: None chooses what the product's own trunk uses there: bf16 where the device has
            instructions for it. A processor without emulates them, ten times slower than fp32.
    """
    chosen = trunk_dtype(device) if dtype is None else dtype
    return torch.autocast(device.split(":")[0], chosen, enabled=chosen != torch.float32)
