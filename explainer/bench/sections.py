"""The sections of the benchmarks by name. Each is imported only when it runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module

from explainer.bench.report import Report


@dataclass(frozen=True)
class Options:
    """What to measure on, and how thoroughly.

    Attributes:
        device: as `explainer.fcn.device.choose` gives it.
        quick: fewer sizes and turns, so that all sections together take minutes.
    """

    device: str
    quick: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the benchmarks.

    Attributes:
        name: on the command line.
        module: has `measure(options) -> Report`.
        what: it measures, for the list of sections.
    """

    name: str
    module: str
    what: str

    def measure(self, options: Options) -> Report:
        return import_module(self.module).measure(options)


SECTIONS = {
    section.name: section
    for section in (
        Section(
            "forward",
            "explainer.bench.forward",
            "one pass with three heads against three nets and FCN-ResNet50, by size and batch",
        ),
        Section(
            "roofline",
            "explainer.bench.roofline",
            "how near the pass comes to what the device can compute and move",
        ),
        Section(
            "paper",
            "explainer.bench.paper_net",
            "FCN-VGG16 at 500×500: one pass against three nets, roofline, dense upsampling",
        ),
        Section(
            "cpu",
            "explainer.bench.cpu_path",
            "threads, memory format, dtype and warm-up on the processor",
        ),
        Section(
            "compile",
            "explainer.bench.compiled",
            "the pass as the product runs it against torch.compile, by bucket",
        ),
        Section(
            "ops",
            "explainer.bench.ops_maps",
            "building and applying a LinearMap of explainer.ops, against torch",
        ),
        Section(
            "reruns",
            "explainer.bench.reruns",
            "rerun latency and reruns/s of every page with 1, 10 and 30 visitors",
        ),
        Section(
            "keys",
            "explainer.bench.keys",
            "key press on a slider to the changed picture in Chromium (needs Playwright)",
        ),
        Section(
            "photos",
            "explainer.bench.class_photos",
            "30 visitors who upload photos together: p50, p95, memory, none lost or mixed up",
        ),
        Section(
            "start",
            "explainer.bench.start",
            "process start to first page and first segmentation; memory after 1,000 photos",
        ),
    )
}
"""In the order in which they run."""


def chosen(names: Iterable[str]) -> list[Section]:
    """The sections of these names in their own order; all where there are no names.

    Raises:
        ValueError: there is no such section.
    """
    wanted = list(names)
    for name in wanted:
        if name not in SECTIONS:
            raise ValueError(f"there is no section {name!r}: choose among {', '.join(SECTIONS)}")
    return [section for name, section in SECTIONS.items() if not wanted or name in wanted]
