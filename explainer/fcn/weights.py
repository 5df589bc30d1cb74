"""Bundled weights: which file, which network, and what is known of it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load

from explainer.fcn.network import FCN, small_fcn

ASSETS = Path(__file__).parents[2] / "assets"
SMALL = ASSETS / "fcn-mobilenetv2-voc" / "weights.safetensors"
"""The bundled network: MobileNetV2 with three heads, 21 PASCAL VOC classes."""


class WeightsError(ValueError):
    """The weights cannot be used; the message says why and what would be right."""


@dataclass(frozen=True)
class Record:
    """What stands beside the bundled weights, in weights.json.

    Attributes:
        title: name of the network.
        sha256: of the weights' file.
        mean_iu: on the validation photos, by output ("32s", "16s", "8s").
    """

    title: str
    sha256: str
    mean_iu: dict[str, float]


def record(path: Path = SMALL) -> Record:
    """The record of bundled weights, from the .json beside them.

    Raises:
        WeightsError: there is none.
    """
    try:
        return Record(**json.loads(path.with_suffix(".json").read_text()))
    except FileNotFoundError:
        raise WeightsError(
            f"{path.with_suffix('.json')} is missing: reinstall the product, or clone it again"
        ) from None


def load_small(path: Path | None = None) -> FCN:
    """The small network with the bundled weights (their sha256 is checked), or with a file's.

    Raises:
        WeightsError: no such file, altered, not safetensors, or of another network.
    """
    bundled = path is None
    path = SMALL if path is None else path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}") from None
    if bundled and hashlib.sha256(data).hexdigest() != record(path).sha256:
        raise WeightsError(
            f"{path.name} is not the file that was shipped (its sha256 differs): clone the "
            "product again"
        )
    network = small_fcn()
    try:
        state = {name: tensor.float() for name, tensor in load(data).items()}
        network.load_state_dict(state)
    except Exception as error:
        # safetensors raises its own error, PyTorch RuntimeError; both mean the same to the reader.
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"{path.name} does not hold this network's weights ({reason}): choose a .safetensors "
            "file written by `python -m explainer.training`"
        ) from None
    return network.eval().requires_grad_(False)
