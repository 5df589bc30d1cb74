"""The section "The network" of the first page: which one runs, its weights, its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from explainer.fcn import registry
from explainer.fcn.catalogue import NETWORKS, SMALL, mode_of
from explainer.fcn.registry import CHECKPOINTS, MEGABYTE, Checkpoint
from explainer.ui import networks
from explainer.ui.text import plain
from explainer.ui.visit import Choice, Shown, Visit, visit

if TYPE_CHECKING:
    from explainer.fcn.published import Figures, Work

NETWORK, MODE, FILE, PATH = "chosen_network", "chosen_mode", "chosen_file", "own_path"
"""Keys of the widgets. What they chose is kept in the visit and in the address: they are not there
while another section is open."""

ADD_FILE = "own_path_taken"

_PAPER = (
    "Paper: Long, Shelhamer and Darrell (2015), table 1, 500×500 on a Tesla K40c, mean IU on "
    "validation photos of VOC 2011. Release: the figures published with the weights, for 32s, 16s "
    "and 8s, on seg11valid."
)


def show(shown: Shown) -> None:
    """Draw the section."""
    now = visit()
    _choose(now, shown)
    _files(now)
    if now.choice.bundled:
        from explainer.fcn import weights  # imports PyTorch, as every result does

        st.markdown(weights.SMALL.with_name("MODEL_CARD.md").read_text(encoding="utf-8"))
    elif shown.choice == now.choice:
        _figures(shown)
    else:
        st.markdown(_table())
        st.caption(f"Computed: from the definition of the network here. {_PAPER}")


def absent(choice: Choice) -> str:
    """Why the chosen network is not the one on the screen."""
    here = f"here is {NETWORKS[SMALL].title}."
    if why := networks.unusable(choice):
        if not networks.may_change_files():  # a stranger need not know the folders
            why = "a file of its weights is not the one that was published."
        return f"{plain(networks.title(choice))}: {plain(why)} Meanwhile {here}"
    missing = networks.mode(choice).missing().values()
    return (
        f"{plain(networks.title(choice))}: its weights are not on this machine "
        f"({_sizes(missing)}). “The network”, below, says how to get them; {here}"
    )


def credits(shown: Shown) -> str:
    """The line below the section: what ran, and what is published of it."""
    checkpoints = [CHECKPOINTS[key] for key in networks.mode(shown.choice).checkpoints]
    figures = [f"{c.title} {c.mean_iu}" for c in checkpoints if c.mean_iu is not None]
    said = [f"{plain(shown.run.title)}, on {shown.run.device}"]
    if figures:
        said.append(f"published mean IU on seg11valid, in percent: {', '.join(figures)}")
    return " · ".join(said)


# ------------------------------------------------------------------------------------- the choice


def _choose(now: Visit, shown: Shown) -> None:
    choice = now.choice
    state = st.session_state
    state[NETWORK], state[MODE] = choice.network, choice.mode
    left, right = st.columns([2, 3], gap="medium")
    left.selectbox(
        "Network",
        list(NETWORKS),
        format_func=lambda key: NETWORKS[key].title,
        key=NETWORK,
        on_change=lambda: networks.choose(now, _best(state[NETWORK])),
        help="The small one comes with the app. The others are the paper's and one of torchvision.",
    )
    if choice.bundled:
        right.markdown(networks.mode(choice).says)
        return
    own = registry.own_files()
    modes = dict(NETWORKS[choice.network].modes)
    if own or choice.mode == networks.OWN_KEY:
        modes[networks.OWN_KEY] = networks.OWN

    def chosen() -> None:
        mode = state[MODE]
        file = next(iter(own), None) if mode == networks.OWN_KEY else None
        networks.choose(now, Choice(choice.network, mode, file))

    def named(key: str) -> str:
        missing = [] if key == networks.OWN_KEY else modes[key].missing().values()
        return modes[key].title + (f" (needs {_sizes(missing)})" if missing else "")

    # Once a run: a name that changed with a finished download would be none of the names sent.
    titles = {key: named(key) for key in modes}
    right.selectbox(
        "Run it", list(modes), format_func=titles.__getitem__, key=MODE, on_change=chosen
    )
    if choice.mode == networks.OWN_KEY:
        state[FILE] = choice.file
        right.selectbox(
            "File",
            list(own),
            key=FILE,
            on_change=lambda: networks.choose(
                now, Choice(choice.network, networks.OWN_KEY, state[FILE])
            ),
        )
    st.markdown(networks.says(choice, shown))


def _best(network: str) -> Choice:
    """A network in the best way that this machine has the weights for, else as published."""
    return Choice(network, mode_of(network)[0])


# ---------------------------------------------------------------------------------------- weights


def _files(now: Visit) -> None:
    """What is missing and how to get it; nothing where all is there."""
    choice = now.choice
    if choice.bundled:
        return
    allowed = networks.may_change_files()
    missing = {} if choice.mode == networks.OWN_KEY else networks.mode(choice).missing()
    queue = networks.downloads()
    if queue.waiting and allowed:
        _progress()
    elif missing and not allowed:
        st.warning(
            f"Its weights are not on the machine that serves this page ({_sizes(missing.values())})"
            ". They can be downloaded by whoever sits at it, on the page that this machine opens "
            "itself as `localhost`, or with `python -m explainer.fcn --fetch "
            f"{next(iter(missing))}`. Untrained, the network runs at once.",
            icon=":material/lock:",
        )
    elif missing and (unusable := networks.unusable(choice)):
        st.error(plain(unusable), icon=":material/error:")
    elif missing:
        _offer(missing, queue)
    if allowed and not queue.waiting:
        _own_file(now)


def _offer(missing: dict[str, Checkpoint], queue: networks.Downloads) -> None:
    """The size, the hosts and the terms; then the button."""
    if queue.cancelled:
        st.info("The download was cancelled.", icon=":material/cancel:")
    elif queue.outcome:
        st.error(plain(queue.outcome), icon=":material/error:")
    total = sum(checkpoint.size for checkpoint in missing.values())
    here = sum(map(registry.received, missing.values()))
    hosts = dict.fromkeys(
        host for found in missing.values() for file in found.files for host in file.hosts
    )
    unsigned = [
        file.name for found in missing.values() for file in found.files if not file.checksums
    ]
    says = [
        f"**{_sizes(missing.values())}** from {', '.join(hosts)} into "
        f"{plain(str(registry.cache_folder()))}."
    ]
    if here:
        says.append(f"{here / MEGABYTE:.0f} MB are here already: the download goes on from there.")
    if unsigned:
        says.append(f"No checksum of {plain(', '.join(unsigned))} was published: names and shapes "
                    "only can be checked.")  # fmt: skip
    says += dict.fromkeys(found.provenance for found in missing.values())
    st.markdown(" ".join(says))
    st.button(
        f"Download {(total - here) / MEGABYTE:.0f} MB",
        key="download_weights",
        icon=":material/download:",
        on_click=queue.start,
        args=(tuple(missing),),
    )


@st.fragment(run_every=1.0)
def _progress() -> None:
    """How far the downloads are; the whole page runs again when they have ended."""
    queue = networks.downloads()
    waiting, progress = queue.waiting, queue.progress
    if not waiting:
        st.rerun()
    checkpoint = CHECKPOINTS[waiting[0]]
    received, total = 0, checkpoint.size
    where = "waiting for the host"
    if progress is not None:
        received, total = progress.received, progress.total or checkpoint.size
        where = f"{received / MEGABYTE:.0f} of {total / MEGABYTE:.0f} MB from {progress.host}"
    text = f"Downloading {checkpoint.title}: {where}"
    if len(waiting) > 1:
        text += f"; {len(waiting) - 1} more to come"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(min(1.0, received / total), text=plain(text))
        st.button("Cancel", key="cancel_download", on_click=queue.cancel)


def _own_file(now: Visit) -> None:
    """A file by its path, for those who sit at the machine."""
    with st.expander("Use a file that I have", icon=":material/folder_open:", key=ADD_FILE):
        st.markdown(
            "The path of a .caffemodel, .pth or .safetensors file on this computer. A published "
            "file is known by its checksum, another one is read first; a copy goes into "
            f"{plain(str(registry.cache_folder()))}, where you may put files yourself too. Nothing "
            "in a file is run."
        )
        with st.form("own_file", border=False):
            path = st.text_input("Path", key=PATH, max_chars=4096)
            sent = st.form_submit_button("Take a copy")
        if sent and path.strip() and networks.may_change_files():
            try:
                with st.spinner("Reading the file"):
                    choice = networks.take(Path(path.strip()), now.choice.network)
            except ValueError as unusable:
                st.error(plain(str(unusable)), icon=":material/error:")
            else:
                networks.choose(now, choice)
                st.rerun()


def _sizes(checkpoints: Collection[Checkpoint]) -> str:
    """Such as "3 files, 1623 MB"."""
    size = f"{sum(checkpoint.size for checkpoint in checkpoints) / MEGABYTE:.0f} MB"
    return size if len(checkpoints) == 1 else f"{len(checkpoints)} files, {size}"


# ---------------------------------------------------------------------------------------- figures


def _figures(shown: Shown) -> None:
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.markdown(_table(shown))
        st.caption(
            "Computed: from the definition of the network here. The last row: measured on this "
            f"photo, on {shown.run.device}; the first pass after loading is slower. {_PAPER}"
        )
    with right:
        st.markdown(_stages(shown))
        st.markdown(_memory(shown))


@cache
def _computed() -> dict[str, Figures]:
    from explainer.fcn.published import DEFINITIONS, RESNET, figures  # imports PyTorch

    return {name: figures(name) for name in (*DEFINITIONS, RESNET)}


def _table(shown: Shown | None = None) -> str:
    """What is computed here beside what the paper says, a column a network."""
    from explainer.fcn.published import DEFINITIONS  # imports PyTorch

    here = _computed()
    paper = {name: found.paper for name, found in DEFINITIONS.items()}
    order = [name for name in NETWORKS if name in here]

    def printed(field: str, unit: float = 1, form: str = "{:.0f}") -> list[str]:
        return [
            form.format(getattr(paper[name], field) / unit) if name in paper else ""
            for name in order
        ]

    def beside(field: str, unit: float = 1, form: str = "{:.0f}") -> list[str]:
        computed = [form.format(getattr(here[name], field) / unit) for name in order]
        pairs = zip(computed, printed(field, unit), strict=True)
        return [" / ".join(filter(None, pair)) for pair in pairs]

    rows = {
        "computed / paper": [NETWORKS[name].title for name in order],
        "million parameters": beside("parameters", 1e6, "{:.1f}"),
        "convolutions deep": beside("conv_layers"),
        "receptive field, pixels": beside("field"),
        "stride, pixels": beside("stride"),
        "mean IU, %: paper": printed("mean_iu", form="{:.1f}"),
        "mean IU, %: release": [_released(name) for name in order],
        "ms at 500×500: paper": printed("forward_ms"),
    }
    if shown is not None:
        forward = f"**{1000 * sum(shown.run.timings.values()):.0f}**"
        passes = f", {shown.run.passes} passes" if shown.run.passes > 1 else ""
        rows[f"ms at {shown.run.width}×{shown.run.height}{passes}"] = [
            forward if name == shown.choice.network else "" for name in order
        ]
    head, *body = ("| " + " | ".join((label, *cells)) + " |" for label, cells in rows.items())
    return "\n".join([head, "|---|" + "---:|" * len(order), *body])


def _released(name: str) -> str:
    """The published figures of the weights that run as published."""
    mode = NETWORKS[name].modes.get("as-published")
    known = [CHECKPOINTS[key].mean_iu for key in mode.checkpoints] if mode else []
    return " / ".join(str(value) for value in known if value is not None)


def _costs(shown: Shown) -> list[Work]:
    """What each pass costs."""
    passes = {id(found): found for found in shown.run.results.values()}.values()
    known = NETWORKS[shown.choice.network].outputs
    return [
        _cost(
            shown.choice.network,
            found.height,
            found.width,
            tuple(stride for stride in known if stride >= min(found.scores)),
        )
        for found in passes
    ]


@lru_cache(maxsize=64)
def _cost(network: str, height: int, width: int, strides: tuple[int, ...]) -> Work:
    from explainer.fcn.published import work  # imports PyTorch

    return work(network, height, width, strides)


def _stages(shown: Shown) -> str:
    """Milliseconds and multiply-adds by part of the net, those of several passes added."""
    counts = Counter[str]()
    for cost in _costs(shown):
        counts.update(cost.multiply_adds)
    times = shown.run.timings
    rows = [
        (part, f"{1000 * seconds:.1f}", f"{counts[part] / 1e9:.2f}" if part in counts else "")
        for part, seconds in times.items()
    ]
    rows.append(
        ("**all**", f"**{1000 * sum(times.values()):.0f}**", f"**{counts.total() / 1e9:.1f}**")
    )
    head = "| part | ms: measured | billion multiply-adds: computed |\n|---|---:|---:|"
    return "\n".join([head, *("| " + " | ".join(row) + " |" for row in rows)])


def _memory(shown: Shown) -> str:
    """The peak of the run on a GPU; elsewhere what the shapes say."""
    from explainer.fcn.segmenter import trunk_dtype  # imports PyTorch

    if shown.run.peak is not None:
        return f"Peak memory, measured on the GPU: {shown.run.peak / MEGABYTE:.0f} MB."
    costs = _costs(shown)
    numbers = sum(cost.weights for cost in costs) + max(cost.largest for cost in costs)
    size = trunk_dtype(shown.run.device).itemsize
    return (
        f"Memory, computed: {size * numbers / MEGABYTE:.0f} MB for the weights and the two largest "
        f"maps beside each other, {size} bytes a number. It is measured on GPUs only."
    )
