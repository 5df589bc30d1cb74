"""`python -m explainer.bench`: how fast the product is here, and how far from the limit."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from explainer.bench import report
from explainer.bench.sections import SECTIONS, Options, chosen

_MORE = """\
Figures count on an idle machine; the load at the start stands beside them. Ratios are taken side by
side in one run and say more than times.

Not here: `python tests/browser/bench_later_photo.py` measures from the choice of a file to the
picture in Chromium; `python -m explainer.bench.soak` looks for leaks and faults.

exit status: 0 measured, 1 a section failed, 2 wrong use
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run sections and print what they find; the exit status."""
    options = _parser().parse_args(argv)
    try:
        sections = chosen(options.only or ())
        from explainer.fcn.device import choose  # imports PyTorch

        device = choose(options.device)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from explainer.bench.machine import describe

    machine = describe(device)
    # With --markdown, what is printed can go into a file as it is; all else goes to stderr.
    out = sys.stderr if options.markdown else sys.stdout
    print(machine.line(), file=out, flush=True)
    found: dict[str, report.Report] = {}
    failed = False
    for section in sections:
        print(f"\n== {section.name}: {section.what}", file=out, flush=True)
        began = time.perf_counter()
        try:
            found[section.name] = section.measure(Options(device, options.quick))
        except Exception as error:
            # What the others found took minutes: it must not be lost with this one.
            print(f"error: {section.name} failed: {error!r}", file=sys.stderr, flush=True)
            failed = True
            continue
        for table in found[section.name].tables:
            print(f"\n{report.text(table)}", file=out, flush=True)
        print(f"\n({time.perf_counter() - began:.0f} s)", file=out, flush=True)
    if options.json:
        options.json.write_text(report.to_json(machine, found) + "\n", "utf-8")
    if options.markdown:
        print(f"Measured on {machine.line()}.\n\n{report.markdown(list(found.values()))}")
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {section.name:10}{section.what}" for section in SECTIONS.values())
    parser = argparse.ArgumentParser(
        prog="python -m explainer.bench",
        description="How fast the product is on this machine, and how far from the limit.",
        epilog=f"sections:\n{listed}\n\n{_MORE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--only", nargs="+", metavar="SECTION", help="these sections alone, in their own order"
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer sizes and turns: all sections within minutes"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps; default: the fastest there is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured here")
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="print the README's tables to stdout, all else to stderr",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
