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

from explainer.fcn.photo import Limits, PhotoError, decode
from explainer.fcn.render import BACKGROUND, class_shares, label_png, panel, percent, png

if TYPE_CHECKING:
    from explainer.fcn.segmenter import Segmenter

_EXAMPLE = """\
For a photo NAME.jpg it writes into DIR
  NAME.32s.png, NAME.16s.png, NAME.8s.png  the labels: indexed, VOC palette, the photo's own size
  NAME.png                                 the photo and the three outputs side by side
and prints a line with the classes found and the times. A second photo of the same name becomes
NAME-2. Files of an earlier run are replaced, the given photos never.

example:
  python -m explainer.fcn cat.jpg dog.png --out out

exit status: 0 all done, 1 some photos failed, 2 wrong use, 130 interrupted
"""

_LEAST_SHARE = 0.005
"""Classes below this share of the pixels are left out of the printed line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Segment the photos named on the command line; the exit status."""
    options = _parser().parse_args(argv)
    try:
        return _run(options)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m explainer.fcn",
        description="Segment photos with FCN-32s, FCN-16s and FCN-8s in one pass.",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where to write")
    parser.add_argument(
        "--device",
        default="auto",
        help="where the network runs: cpu, cuda, cuda:1, mps (default: auto, the fastest there is)",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="other weights than the bundled ones"
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
    # PyTorch takes a second to import: --help and wrong use answer without it.
    from explainer.fcn.result import STRIDES
    from explainer.fcn.segmenter import Segmenter

    device = None if options.device == "auto" else options.device
    try:
        segmenter = Segmenter.load(weights=options.weights, device=device)
    except (OSError, ValueError, RuntimeError) as error:
        return _complain(f"cannot load the network: {error}", 2)
    status = 0
    taken: set[str] = set()
    for path in options.photos:
        try:
            targets = _targets(path, STRIDES, options.out, options.photos, taken)
            print(f"{path}: {_segment(path, targets, segmenter, options)}", flush=True)
        except PhotoError as error:
            status = _complain(f"{path}: {error}", 1)
        except OSError as error:
            status = _complain(f"{error.filename or path}: {error.strerror or error}", 1)
        except (RuntimeError, MemoryError) as error:
            status = _complain(f"{path}: could not be segmented ({error})", 1)
    return status


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
    segmenter: "Segmenter",
    options: argparse.Namespace,
) -> str:
    """Segment one photo, write its files, and say what was found and how long it took."""
    start = time.perf_counter()
    photo = decode(_read(path), path.name, longest=options.longest)
    decoded = time.perf_counter()
    result = segmenter(photo.pixels)
    segmented = time.perf_counter()
    seen_at = f"{result.width}×{result.height}"
    finest = result.labels[min(result.labels)]
    sheet = panel(
        photo.pixels,
        result.labels,
        f"{path.name}, {photo.size[1]}×{photo.size[0]} pixels, segmented at {seen_at} on "
        f"{result.device} in {1000 * (segmented - decoded):.0f} ms",
        options.opacity,
    )
    files = {stride: label_png(labels, photo.size) for stride, labels in result.labels.items()}
    for stride, contents in (files | {None: png(sheet)}).items():
        targets[stride].write_bytes(contents)
    drawn = time.perf_counter()
    found = [
        f"{result.classes[label]} {percent(share)}"
        for label, share in class_shares(finest).items()
        if label != BACKGROUND and share >= _LEAST_SHARE
    ]
    stages = {"decode": decoded - start, "forward": segmented - decoded, "draw": drawn - segmented}
    times = ", ".join(f"{stage} {1000 * seconds:.0f} ms" for stage, seconds in stages.items())
    notes = "".join(f" {note}" for note in photo.notes)
    return f"{', '.join(found) or 'nothing found'} ({times}; at {seen_at}) → {targets[None]}{notes}"


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
