"""Below the viewer: a closer look at one result. Only the view that is open costs anything."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from explainer.fcn.catalogue import SKIP_NAMES
from explainer.fcn.compare import change_map, compare, sentences
from explainer.fcn.render import jpeg
from explainer.ui import downloads, network_view, snippets
from explainer.ui.text import plain
from explainer.ui.visit import Shown, visit

VIEW = "view"
"""The parameter of the address, and the key, of the view below the pictures."""


def draw(shown: Shown) -> None:
    """Draw the choice of views and the one that is chosen; the address keeps it."""
    chosen = st.segmented_control(
        "Look closer",
        list(VIEWS),
        default=next(iter(VIEWS)),
        key=VIEW,
        bind="query-params",
        required=True,
        on_change=_view_chosen,
        label_visibility="collapsed",
    )
    with st.container(key="view_body"):
        VIEWS[chosen](shown)
    _footer(shown)


def _view_chosen() -> None:
    """What was wrong with the view in the link has been read."""
    visit().unread.pop(VIEW, None)


def _footer(shown: Shown) -> None:
    if not shown.choice.bundled:
        st.caption(network_view.credits(shown))
        return
    # Imports PyTorch, as every result does: not before there is one.
    from explainer.fcn.weights import record

    known = record()
    figures = ", ".join(f"FCN-{head} {iu:.3f}" for head, iu in known.mean_iu.items())
    st.caption(
        f"{plain(known.title)}, on {shown.result.device} · mean IU {figures} · "
        "the model card is under “The network”"
    )


def _changes(shown: Shown) -> None:
    run = shown.run
    if len(run.outputs) == 1:
        st.markdown(
            f"{run.name(run.outputs[0])} has one output, so there is nothing to compare. Choose "
            "a network with skips under “The network”."
        )
        return
    result = shown.result
    coarse, fine = run.outputs[0], run.outputs[-1]
    before, after = run.labels[coarse], run.labels[fine]
    # A portrait in the wider column would be higher than the window.
    share = 2 if result.width >= result.height else 1
    picture, words = st.columns([share, 3], gap="medium")
    with picture:
        st.image(jpeg(change_map(shown.photo.pixels, before, after)), width="stretch")
        st.caption("In colour: the new class of what changed. Hatched: it became background.")
    with words:
        names = run.name(coarse), run.name(fine)
        st.subheader(f"From {names[0]} to {names[1]}", anchor=False)
        if not run.trained:
            st.markdown("The network is not trained: what changes means nothing.")
        for sentence in sentences(compare(before, after), result.classes, names):
            st.markdown(sentence)
        st.markdown(_lattices(shown))


def _lattices(shown: Shown) -> str:
    """Why the outputs differ: how few places each of them computes scores at."""
    scores = shown.result.scores
    coarse, *finer = sorted(scores, reverse=True)

    def places(stride: int) -> str:
        _, rows, columns = scores[stride].values.shape
        return f"{columns}×{rows}"

    added = " and ".join(f"{places(stride)} ({SKIP_NAMES[stride]})" for stride in finer)
    more = "the skips add" if len(finer) > 1 else "the skip adds"
    return (
        f"{shown.run.name(coarse)} computes scores at {places(coarse)} places only and "
        f"interpolates between them; {more} {added}, so outlines can follow finer detail of the "
        f"{shown.result.width}×{shown.result.height} pixels."
    )


def _skips(shown: Shown) -> None:
    from explainer.ui import inside_skips  # imports PyTorch too

    run = shown.run
    if any(stride != found.lattice.stride for stride, found in run.finest.scores.items()):
        st.markdown(
            "These weights bring an upsampling of their own that is not bilinear: the score at a "
            "pixel is no sum of a few cells of three maps, so there is nothing to take apart here."
        )
        return
    head = run.name(run.outputs[-1])
    if run.passes > 1:
        st.markdown(f"The outputs come from {run.passes} networks; these are the maps of {head}.")
    inside_skips.show(run.finest, shown.photo.pixels, key="skips", head=head)


@st.fragment
def _download(shown: Shown) -> None:
    height, width = shown.photo.full_size
    stem = shown.photo.encoded.stem
    st.html(f"<style>{downloads.WAITING}</style>")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        run = shown.run
        stride = run.outputs[-1]
        if len(run.outputs) > 1:
            stride = st.segmented_control(
                "Output",
                run.outputs,
                format_func=run.name,
                default=stride,
                key=f"download_stride_{len(run.outputs)}",
                required=True,
            )
        name = run.name(stride)
        files = {
            f"{name} labels": (
                f"{stem}.{stride}s.png",
                partial(downloads.label_file, shown, stride),
            ),
            f"{name} overlay": (
                f"{stem}.{stride}s.overlay.png",
                partial(downloads.overlay_file, shown, stride),
            ),
            "All side by side" if len(run.outputs) != 3 else "All three side by side": (
                f"{stem}.png",
                partial(downloads.panel_file, shown),
            ),
        }
        for label, (name, make) in files.items():
            st.download_button(
                label,
                data=make,
                file_name=name,
                mime="image/png",
                icon=":material/download:",
                on_click="ignore",
                key=f"download {label}",
            )
    st.markdown(
        f"{own_size(height, width)} Their labels come from the scores interpolated to the photo's "
        "own pixels. The label file is an indexed PNG: a pixel's value is its class, 0 to 20, and "
        "the palette is that of PASCAL VOC."
    )


def own_size(height: int, width: int) -> str:
    """Which files have the size of the photo."""
    side = downloads.panel_side(height, width)
    if side == max(height, width):
        return f"All pictures have the photo's own size, {width}×{height}."
    return (
        f"Labels and overlay have the photo's own size, {width}×{height}. Four photos of that size "
        f"are too many for one file: side by side, the pictures have {side} pixels on the longest "
        "side."
    )


def _code(shown: Shown) -> None:
    name, side = shown.photo.encoded.name, shown.photo.side
    if shown.photo.encoded.sample:
        st.markdown(f"The file {plain(name)} comes with scikit-image, in its folder `data`.")
    st.markdown("From the command line, to label files and one picture of all outputs:")
    st.code(snippets.command_line(name, side, shown.choice), language="bash")
    st.markdown("From Python:")
    st.code(snippets.python_lines(name, side, shown.choice), language="python")


VIEWS: dict[str, Callable[[Shown], None]] = {
    "What changed": _changes,
    "Inside the skips": _skips,
    "Download": _download,
    "In code": _code,
    "The network": network_view.show,
}
