"""`python -m explainer.training`: make the bundled weights, and measure them."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from explainer.fcn.device import choose
from explainer.fcn.network import small_fcn
from explainer.training.data import load
from explainer.training.evaluate import evaluate, table
from explainer.training.loss import Weights
from explainer.training.train import Recipe, Stage, begin, describe, resume, taught, train

# First what is new learns on top of trunk features that stay as they are; then the whole network,
# heads and trunk together, with the measure itself (IU) in the loss; then trunk and stride-32 head
# go half the way back to where they came from, and the skip heads follow.
STAGES = (
    Stage(2600, frozen=13, trunk=1.5e-4, skips=1e-3),
    Stage(2400, frozen=0, trunk=1e-4, skips=5e-4, weights=Weights(lovasz=0.5)),
    Stage(1500, frozen=17, trunk=0.0, skips=5e-4, weights=Weights(lovasz=0.5), keep=0.5),
)


def recipe(steps: Sequence[int], batch: int, seed: int) -> Recipe:
    """The recipe of the bundled weights, for a number of batches in each of its stages."""
    stages = (replace(stage, steps=count) for stage, count in zip(STAGES, steps, strict=True))
    return Recipe(tuple(stages), batch=batch, seed=seed)


def export(network: nn.Module, path: Path) -> None:
    """Writes the weights as fp16 safetensors: what the product loads."""
    save_file(
        {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()}, path
    )


def _train(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm

    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists() and not arguments.resume:
        sys.exit(f"{checkpoint} exists: continue it with --resume, or choose another --out")
    chosen = recipe(arguments.steps, arguments.batch, arguments.seed)
    device = choose(arguments.device)
    try:
        run = begin(arguments.start, chosen, device)
        if checkpoint.exists():
            resume(run, chosen, checkpoint, device)
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    examples = load(arguments.data, ("train", "pseudo"), progress=True)
    examples = taught(examples, arguments.start, out / "teacher.safetensors", device, progress=True)
    saved = time.monotonic()
    (out / "recipe.json").write_text(describe(chosen))
    before = sum(stage.steps for stage in chosen.stages[: run.stage]) + run.step
    with (
        (out / "log.jsonl").open("a", buffering=1) as log,
        tqdm(total=chosen.steps, initial=before, unit="batch", mininterval=5) as bar,
    ):
        for figures in train(run, examples, chosen, device):
            log.write(json.dumps({name: round(value, 5) for name, value in figures.items()}) + "\n")
            bar.update()
            bar.set_postfix({name: f"{figures[name]:.3f}" for name in ("loss", "32s", "16s", "8s")})
            if time.monotonic() - saved > arguments.save_every:
                run.save(checkpoint, chosen)
                export(run.average.network, out / "weights.safetensors")
                saved = time.monotonic()
    run.save(checkpoint, chosen)
    export(run.average.network, out / "weights.safetensors")


def _evaluate(arguments: argparse.Namespace) -> None:
    network = small_fcn()
    network.load_state_dict({n: t.float() for n, t in load_file(arguments.weights).items()})
    device = choose(arguments.device)
    network.to(device, memory_format=torch.channels_last)  # pyright: ignore
    examples = load(arguments.data, (arguments.split,), progress=True)
    dtype = torch.bfloat16 if arguments.bf16 else torch.float32
    found = evaluate(network, examples, device, dtype, progress=True)
    print(f"{found.photos} photos of {arguments.split}\n\n{table(found)}")


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m explainer.training", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    parts = {
        "train": (_train, "train from the public starting weights"),
        "evaluate": (_evaluate, "print the measures of the paper, overall and near outlines"),
    }
    for name, (action, words) in parts.items():
        verb = verbs.add_parser(name, help=words, description=words)
        verb.set_defaults(action=action)
        verb.add_argument("--data", type=Path, required=True, help="folder with splits.json")
        verb.add_argument("--device", help="cpu, cuda, cuda:1, mps (default: the fastest there is)")
        if name == "train":
            verb.add_argument("--start", type=Path, required=True, help="DeepLab's safetensors")
            verb.add_argument("--out", type=Path, required=True, help="folder for all that is made")
            steps = [stage.steps for stage in STAGES]
            verb.add_argument("--steps", type=int, nargs=len(STAGES), default=steps, metavar="N")
            verb.add_argument("--batch", type=int, default=8)
            verb.add_argument("--seed", type=int, default=0)
            verb.add_argument("--resume", action="store_true", help="continue from the checkpoint")
            verb.add_argument("--save-every", type=float, default=120, metavar="SECONDS")
        else:
            verb.add_argument("--weights", type=Path, required=True)
            verb.add_argument("--split", default="val")
            verb.add_argument("--bf16", action="store_true", help="as the product computes")
    arguments = parser.parse_args(argv)
    arguments.action(arguments)


if __name__ == "__main__":
    main()
