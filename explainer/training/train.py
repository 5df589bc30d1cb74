"""The recipe, and the loop that follows it."""

import copy
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from explainer.fcn.mobilenet import MobileNetV2
from explainer.fcn.network import FCN, fuse, small_fcn
from explainer.training.data import Augmentation, Example, ahead, crops, sampling_weights
from explainer.training.loss import Weights, loss
from explainer.training.precision import autocast
from explainer.training.start import Teacher, read, start_from

SKIPS = ("heads.16.", "heads.8.")
"""What the public network does not have: the names of the skip heads' weights begin so."""


@dataclass(frozen=True)
class Stage:
    """A part of the recipe.

    Attributes:
        steps: batches.
        frozen: how many of the trunk's 17 blocks (and the stem) stay as they are.
        trunk: peak learning rate of the other blocks and of the stride-32 head.
        skips: peak learning rate of the skip heads.
        weights: of the terms of the loss.
        keep: how much of what trunk and stride-32 head have learnt so far they keep at the start
            of the stage; at 0.5 they go half the way back to the public network.
    """

    steps: int
    frozen: int
    trunk: float
    skips: float
    weights: Weights = field(default_factory=Weights)
    keep: float = 1.0


@dataclass(frozen=True)
class Recipe:
    """All that decides the result, beside the data and the starting weights."""

    stages: tuple[Stage, ...]
    batch: int = 8
    seed: int = 0
    decay: float = 0.01
    warm_up: int = 100
    average: float = 0.999
    balance: float = 0.5
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def steps(self) -> int:
        """Batches in all stages."""
        return sum(stage.steps for stage in self.stages)


def _learning_rate(step: int, steps: int, warm_up: int) -> float:
    """Share of the peak: a linear start, then the polynomial decay of DeepLab (power 0.9)."""
    return min(1, (step + 1) / warm_up) * (1 - step / steps) ** 0.9


class Average:
    """An exponential moving average of the weights: smoother than the last step's, and better."""

    def __init__(self, network: nn.Module, decay: float):
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """One step; the first ones count more, so that the start is forgotten sooner."""
        self.updates += 1
        keep = min(self.decay, self.updates / (self.updates + 10))
        for mean, weight in zip(self.network.parameters(), network.parameters(), strict=True):
            mean.lerp_(weight, 1 - keep)


@dataclass
class Run:
    """A training run between two steps: all that a checkpoint holds.

    Attributes:
        start: trunk and stride-32 head as training found them.
        step: batches done in the current stage.
    """

    network: FCN
    average: Average
    start: dict[str, Tensor]
    stage: int = 0
    step: int = 0
    optimiser: torch.optim.AdamW | None = None

    def go_back(self, keep: float) -> None:
        """Moves trunk and stride-32 head from the average some way back to the start.

        Between a public network and what little data made of it lies one that is better than both
        (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
        """
        state = self.average.network.state_dict()
        for name, tensor in self.start.items():
            state[name] = torch.lerp(tensor, state[name], keep)
        self.network.load_state_dict(state)
        self.average = Average(self.network, self.average.decay)

    def save(self, path: Path, recipe: Recipe) -> None:
        """Writes a checkpoint; the old one stays until the new one is complete."""
        state = {
            "recipe": describe(recipe),
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "updates": self.average.updates,
            "stage": self.stage,
            "step": self.step,
            "optimiser": None if self.optimiser is None else self.optimiser.state_dict(),
        }
        part = path.with_suffix(".part")
        torch.save(state, part)
        part.replace(path)


def _optimiser(network: FCN, stage: Stage, decay: float) -> torch.optim.AdamW:
    """Freezes the lower trunk; biases and what is left train at the stage's rates."""
    assert isinstance(network.trunk, MobileNetV2)
    network.requires_grad_(True)
    if stage.frozen:
        network.trunk.stem.requires_grad_(False)
        for block in network.trunk.blocks[: stage.frozen]:
            block.requires_grad_(False)
    weights = [
        (name, weight) for name, weight in network.named_parameters() if weight.requires_grad
    ]
    skips = [weight for name, weight in weights if name.startswith(SKIPS)]
    rest = [weight for name, weight in weights if not name.startswith(SKIPS)]
    groups = [
        {"params": rest, "peak": stage.trunk, "lr": stage.trunk},
        {"params": skips, "peak": stage.skips, "lr": stage.skips},
    ]
    return torch.optim.AdamW(groups, weight_decay=decay)


def _forward(network: FCN, photos: Tensor, frozen: int) -> dict[int, Tensor]:
    """Score maps; no gradients are kept for the frozen blocks."""
    trunk = network.trunk
    assert isinstance(trunk, MobileNetV2)
    with torch.set_grad_enabled(not frozen):
        x, features = trunk.lower(photos, frozen)
    return network.score({**features, **trunk.upper(x, frozen)})


def begin(start: Path, recipe: Recipe, device: str) -> Run:
    """A new run from the public network."""
    torch.manual_seed(recipe.seed)
    network = small_fcn()
    start_from(network, read(start))
    network.to(device, memory_format=torch.channels_last)  # pyright: ignore
    start_state = {
        name: tensor.clone()
        for name, tensor in network.state_dict().items()
        if not name.startswith(SKIPS)
    }
    return Run(network, Average(network, recipe.average), start_state)


def taught(
    examples: list[Example], start: Path, cache: Path, device: str, progress: bool = False
) -> list[Example]:
    """The examples with the soft labels of the public network, kept in a file between runs."""
    from tqdm import tqdm

    if cache.exists():
        soft = load_file(cache)
    else:
        teacher = Teacher(read(start)).eval()
        teacher.to(device, memory_format=torch.channels_last)  # pyright: ignore
        soft = {
            example.name: torch.from_numpy(teacher.soft_labels(example.photo, device))
            for example in tqdm(examples, "teacher", unit="photo", disable=not progress)
        }
        save_file(soft, cache)
    return [replace(example, soft=soft[example.name].numpy()) for example in examples]


def resume(run: Run, recipe: Recipe, path: Path, device: str) -> None:
    """Continues from a checkpoint of the same recipe.

    Raises:
        ValueError: it is of another recipe.
    """
    state = torch.load(path, map_location=device, weights_only=True)
    told, asked = json.loads(state.get("recipe", "{}")), json.loads(describe(recipe))
    if told != asked:
        other = [name for name in asked if told.get(name) != asked[name]]
        raise ValueError(
            f"{path} was written with other settings ({', '.join(other)}): continue it with "
            "those that it began with, or begin anew in another folder."
        )
    run.network.load_state_dict(state["network"])
    run.average.network.load_state_dict(state["average"])
    run.average.updates = state["updates"]
    run.stage, run.step = state["stage"], state["step"]
    if state["optimiser"] is not None:
        run.optimiser = _optimiser(run.network, recipe.stages[run.stage], recipe.decay)
        run.optimiser.load_state_dict(state["optimiser"])


def train(
    run: Run, examples: list[Example], recipe: Recipe, device: str
) -> Iterator[dict[str, float]]:
    """Trains to the end of the recipe, and yields what to log after every step."""
    probabilities = sampling_weights(examples, recipe.balance)
    # Batches are numbered through all stages.
    done = sum(stage.steps for stage in recipe.stages[: run.stage]) + run.step
    batches = ahead(
        crops(examples, probabilities, recipe.augmentation, recipe.batch, recipe.seed, done)
    )
    run.network.train()
    while run.stage < len(recipe.stages):
        stage = recipe.stages[run.stage]
        if run.optimiser is None:
            if stage.keep < 1:
                run.go_back(stage.keep)
            run.optimiser = _optimiser(run.network, stage, recipe.decay)
        while run.step < stage.steps:
            began = time.perf_counter()
            batch = next(batches)
            # Dropout, as the crops, follows from seed and number: a resumed run ends the same.
            torch.manual_seed((recipe.seed << 32) + done)
            done += 1
            photos = batch.photos.to(device).contiguous(memory_format=torch.channels_last)
            share = _learning_rate(run.step, stage.steps, recipe.warm_up)
            for group in run.optimiser.param_groups:
                group["lr"] = group["peak"] * share
            with autocast(device):
                scores = _forward(run.network, photos, stage.frozen)
            sums = fuse(
                {stride: maps.float() for stride, maps in scores.items()}, run.network.lattices
            )
            total, log = loss(sums, batch.labels.to(device), batch.soft.to(device), stage.weights)
            run.optimiser.zero_grad(set_to_none=True)
            total.backward()
            nn.utils.clip_grad_norm_(run.network.parameters(), 5.0)
            run.optimiser.step()
            run.average.update(run.network)
            run.step += 1
            yield {
                "stage": run.stage,
                "step": run.step,
                "loss": float(total.detach()),
                "seconds": time.perf_counter() - began,
                **log,
            }
        run.stage, run.step, run.optimiser = run.stage + 1, 0, None


def describe(recipe: Recipe) -> str:
    """The recipe as JSON, for the log and the model card."""
    return json.dumps(asdict(recipe))
