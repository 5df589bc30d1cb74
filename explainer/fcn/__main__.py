"""Segment photos from the command line: `python -m explainer.fcn --help`."""

import argparse
import errno
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from explainer.fcn import registry
from explainer.fcn.catalogue import NETWORKS, SMALL, mode_of
from explainer.fcn.photo import Limits, PhotoError, decode
from explainer.fcn.render import found, label_png, panel, percent, png

if TYPE_CHECKING:
    from explainer.fcn.runs import Runner

_EXAMPLE = """\
For a photo NAME.jpg it writes into DIR
  NAME.32s.png, NAME.16s.png, NAME.8s.png  the labels: indexed, VOC palette, the photo's own size
  NAME.png                                 the photo and the three outputs side by side
and prints a line with the classes found and the times. A second photo of the same name becomes
NAME-2. Files of an earlier run are replaced, the given photos never.

Networks with one output give one file of labels. The networks of the paper need weights that are
not shipped: --list shows which there are and where they are kept, --fetch downloads some, --adopt
takes a file that you have; or name a file of your own with --weights.

examples:
  python -m explainer.fcn cat.jpg dog.png --out out
  python -m explainer.fcn --fetch fcn8s
  python -m explainer.fcn cat.jpg --out out --network fcn-vgg16 --mode skips-left-out

exit status: 0 all done, 1 some photos failed or no download, 2 wrong use, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Segment the photos named on the command line; the exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        if options.list:
            return _list()
        if options.fetch:
            return _fetch(options.fetch, options.yes)
        if options.adopt:
            return _adopt(options.adopt)
        if not options.photos or options.out is None:
            parser.error("the following arguments are required: PHOTO, --out")
        return _run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m explainer.fcn",
        description="Segment photos with FCN-32s, FCN-16s and FCN-8s.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where to write")
    parser.add_argument(
        "--device",
        default="auto",
        help="where the network runs: cpu, cuda, cuda:1, mps (default: auto, the fastest there is)",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="a file of your own instead of known weights"
    )
    parser.add_argument(
        "--network",
        choices=NETWORKS,
        default=SMALL,
        help=f"one of {', '.join(NETWORKS)} (default: {SMALL}, the bundled one)",
        metavar="NAME",
    )
    parser.add_argument(
        "--mode",
        metavar="MODE",
        help="how the network is run, see --list (default: the best whose weights are here)",
    )
    weights = parser.add_argument_group("weights of the paper's networks")
    weights.add_argument("--list", action="store_true", help="show networks, modes and weights")
    weights.add_argument(
        "--fetch",
        choices=registry.CHECKPOINTS,
        metavar="WEIGHTS",
        help="download weights, after asking; an interrupted download goes on where it stopped",
    )
    weights.add_argument("--yes", action="store_true", help="download without asking")
    weights.add_argument(
        "--adopt", type=Path, metavar="FILE", help="keep a copy of a published file that you have"
    )
    parser.add_argument(
        "--longest",
        type=_between(int, 1, 4096),
        default=768,
        metavar="PIXELS",
        help="longest side that the network sees; photos are never enlarged (default: 768)",
    )
    parser.add_argument(
        "--opacity",
        type=_between(float, 0, 1),
        default=0.55,
        metavar="SHARE",
        help="of the colours in NAME.png, 0 to 1 (default: 0.55)",
    )
    return parser


def _between(kind: type[int] | type[float], low: float, high: float) -> Callable[[str], float]:
    """An argument type: a number of that kind from low to high."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {low} to {high}")
        return value

    return parse


def _run(options: argparse.Namespace) -> int:
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        if not os.access(options.out, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        return _complain(f"--out {options.out}: cannot write there ({error.strerror})", 2)
    device = None if options.device == "auto" else options.device
    try:
        mode_of(options.network, options.mode)
        # PyTorch takes a second to import: --help and wrong use answer without it.
        from explainer.fcn.runs import load

        runner = load(options.network, options.mode, device=device, weights=options.weights)
    except (OSError, ValueError, RuntimeError, MemoryError) as error:
        return _complain(f"cannot load the network: {error}", 2)
    if options.network != SMALL:
        print(f"{runner.title}: {runner.says}", file=sys.stderr, flush=True)
    status = 0
    taken: set[str] = set()
    for path in options.photos:
        try:
            targets = _targets(path, runner.outputs, options.out, options.photos, taken)
            print(f"{path}: {_segment(path, targets, runner, options)}", flush=True)
        except PhotoError as error:
            status = _complain(f"{path}: {error}", 1)
        except OSError as error:
            status = _complain(f"{error.filename or path}: {error.strerror or error}", 1)
        except (RuntimeError, MemoryError) as error:
            status = _complain(f"{path}: could not be segmented ({error})", 1)
    return status


def _list() -> int:
    """Print the networks, their modes, and where their weights are; the exit status."""
    from explainer.fcn.published import DEFINITIONS, RESNET, figures

    for key, network in NETWORKS.items():
        print(f"{key}: {network.title}")
        for mode_key, mode in network.modes.items():
            missing = ", ".join(mode.missing())
            print(f"  --mode {mode_key}: {mode.says}{f' Needs {missing}.' if missing else ''}")
        if key in (*DEFINITIONS, RESNET):
            here = figures(key)
            print(
                f"  {here.parameters / 1e6:.1f} million parameters, {here.conv_layers} "
                f"convolutions deep, receptive field {here.field}, stride {here.stride}"
            )
        if key in DEFINITIONS:
            paper = DEFINITIONS[key].paper
            print(
                f"  in the paper: {paper.parameters / 1e6:.0f} million, {paper.conv_layers}, "
                f"{paper.field}, {paper.stride}; mean IU {paper.mean_iu}, {paper.forward_ms} ms"
            )
    print(f"\nweights, kept in {registry.cache_folder()}:")
    for key, checkpoint in registry.CHECKPOINTS.items():
        found = registry.find(checkpoint)
        state = found[1].name if found else "not here"
        figure = f", mean IU {checkpoint.mean_iu}" if checkpoint.mean_iu else ""
        print(f"  {key}: {checkpoint.title}{figure}; {_megabytes(checkpoint.size)}; {state}")
        print(f"    {checkpoint.provenance}")
    return 0


def _fetch(key: str, unasked: bool) -> int:
    """Download weights after asking; the exit status."""
    from explainer.fcn.checkpoints import load  # imports PyTorch

    checkpoint = registry.CHECKPOINTS[key]
    try:
        if here := registry.present(checkpoint, load):
            print(f"{checkpoint.title} is here already: {here}")
            return 0
    except registry.FileError as error:
        return _complain(str(error), 1)
    hosts = ", ".join(dict.fromkeys(host for file in checkpoint.files for host in file.hosts))
    print(
        f"{checkpoint.title}: about {_megabytes(checkpoint.size)} from {hosts} to "
        f"{registry.cache_folder()}\n{checkpoint.provenance}"
    )
    if unsigned := [file.name for file in checkpoint.files if not file.checksums]:
        names = ", ".join(unsigned)
        print(f"No checksum of {names} was published: only names and shapes can be checked.")
    if not unasked:
        try:
            answer = input("Download it? [y/N] ")
        except EOFError:
            return _complain("nobody to ask: say --yes to download without asking", 2)
        if answer.strip().lower() not in ("y", "yes"):
            print("nothing was downloaded")
            return 0
    shown = -1

    def progress(now: registry.Progress) -> None:
        nonlocal shown
        done = now.received * 100 // (now.total or checkpoint.size)
        if done != shown:
            shown = done
            text = f"\r{now.host}: {_megabytes(now.received)}, {min(done, 100)} %"
            print(text, end="", file=sys.stderr, flush=True)

    try:
        path = registry.fetch(checkpoint, check=load, progress=progress)
    except registry.FileError as error:
        return _complain(str(error), 1)
    finally:
        if shown >= 0:
            print(file=sys.stderr)
    print(path)
    return 0


def _adopt(path: Path) -> int:
    """Keep a copy of a published file; the exit status."""
    from explainer.fcn.checkpoints import load  # imports PyTorch

    try:
        key, copy = registry.adopt(path, check=load)
    except ValueError as error:
        return _complain(str(error), 1)
    print(f"{registry.CHECKPOINTS[key].title}: {copy}")
    return 0


def _megabytes(count: int) -> str:
    return f"{count / registry.MEGABYTE:.0f} MB"


def _complain(message: str, status: int) -> int:
    print(f"error: {message}", file=sys.stderr, flush=True)
    return status


def _targets(
    photo: Path, strides: Iterable[int], out: Path, photos: Sequence[Path], taken: set[str]
) -> dict[int | None, Path]:
    """Where a photo's files go: by stride, and None for the panel; their names join `taken`.

    Raises:
        PhotoError: one of them is a given photo.
    """
    for number in itertools.count(1):
        stem = photo.stem if number == 1 else f"{photo.stem}-{number}"
        names = {stride: f"{stem}.{stride}s.png" for stride in strides} | {None: f"{stem}.png"}
        # Names that differ only in case are one file on some systems.
        folded = {name.casefold() for name in names.values()}
        if not folded & taken:
            break
    taken |= folded
    targets = {stride: out / name for stride, name in names.items()}
    for target in targets.values():
        if any(_same_file(target, given) for given in photos):
            raise PhotoError(
                f"Its output would replace the photo {target}; give another folder with --out."
            )
    return targets


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them does not exist
        return False


def _segment(
    path: Path,
    targets: Mapping[int | None, Path],
    runner: "Runner",
    options: argparse.Namespace,
) -> str:
    """Segment one photo, write its files, and say what was found and how long it took."""
    from explainer.fcn.full_size import labels_of_photo  # imports PyTorch

    start = time.perf_counter()
    photo = decode(_read(path), path.name, longest=options.longest)
    decoded = time.perf_counter()
    result = runner(photo.pixels)
    segmented = time.perf_counter()
    seen_at = f"{result.width}×{result.height}"
    finest = result.labels[min(result.labels)]
    sheet = panel(
        photo.pixels,
        result.labels,
        f"{path.name}, {photo.size[1]}×{photo.size[0]} pixels, segmented at {seen_at} on "
        f"{result.device} in {1000 * (segmented - decoded):.0f} ms by {runner.title}",
        options.opacity,
        names=result.names,
    )
    files = {s: label_png(labels_of_photo(one, s, photo.size)) for s, one in result.results.items()}
    for stride, contents in (files | {None: png(sheet)}).items():
        targets[stride].write_bytes(contents)
    drawn = time.perf_counter()
    classes = [
        f"{result.classes[label]} {percent(share)}" for label, share in found(finest).items()
    ]
    stages = {"decode": decoded - start, "forward": segmented - decoded, "draw": drawn - segmented}
    times = ", ".join(f"{stage} {1000 * seconds:.0f} ms" for stage, seconds in stages.items())
    notes = "".join(f" {note}" for note in photo.notes)
    return (
        f"{', '.join(classes) or 'nothing found'} ({times}; at {seen_at}) → {targets[None]}{notes}"
    )


def _read(path: Path) -> bytes:
    """The bytes of a photo; no more than one above the limit, which `decode` then refuses.

    Raises:
        PhotoError: there is no such file.
    """
    if not path.exists():
        raise PhotoError("There is no such file.")
    if path.is_dir():
        raise PhotoError("This is a folder; name the photos in it.")
    if not path.is_file():
        raise PhotoError("This is not an ordinary file.")
    with path.open("rb") as file:
        return file.read(Limits().max_bytes + 1)


if __name__ == "__main__":
    sys.exit(main())
