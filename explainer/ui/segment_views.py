"""Below the viewer: a closer look at one result. Only the view that is open costs anything."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from explainer.fcn.compare import change_map, compare, sentences
from explainer.fcn.render import jpeg
from explainer.ui import downloads, snippets
from explainer.ui.text import plain
from explainer.ui.visit import Shown

STRIDES = (32, 16, 8)


def draw(shown: Shown) -> None:
    """Draw the choice of views and the one that is chosen; the address keeps it."""
    chosen = st.segmented_control(
        "Look closer",
        list(VIEWS),
        default=next(iter(VIEWS)),
        key="view",
        bind="query-params",
        required=True,
        label_visibility="collapsed",
    )
    with st.container(key="view_body"):
        VIEWS[chosen](shown)
    _footer(shown)


def _footer(shown: Shown) -> None:
    # Imports PyTorch, as every result does: not before there is one.
    from explainer.fcn.weights import record

    known = record()
    figures = ", ".join(f"FCN-{head} {iu:.3f}" for head, iu in known.mean_iu.items())
    st.caption(
        f"{plain(known.title)}, on {shown.result.device} · mean IU {figures} · "
        "the model card is under “The network”"
    )


def _changes(shown: Shown) -> None:
    result = shown.result
    before, after = result.labels[32], result.labels[8]
    # A portrait in the wider column would be higher than the window.
    share = 2 if result.width >= result.height else 1
    picture, words = st.columns([share, 3], gap="medium")
    with picture:
        st.image(jpeg(change_map(shown.photo.pixels, before, after)), width="stretch")
        st.caption("In colour: the new class of what changed. Hatched: it became background.")
    with words:
        st.subheader("From FCN-32s to FCN-8s", anchor=False)
        for sentence in sentences(compare(before, after), result.classes):
            st.markdown(sentence)
        st.markdown(_lattices(shown))


def _lattices(shown: Shown) -> str:
    """Why the outputs differ: how few places each of them computes scores at."""
    sizes = [
        f"{columns}×{rows}"
        for _, rows, columns in (shown.result.scores[stride].values.shape for stride in STRIDES)
    ]
    return (
        f"FCN-32s computes scores at {sizes[0]} places only and interpolates between them; the "
        f"skips add {sizes[1]} (pool4) and {sizes[2]} (pool3), so outlines can follow finer "
        f"detail of the {shown.result.width}×{shown.result.height} pixels."
    )


def _skips(shown: Shown) -> None:
    from explainer.ui import inside_skips  # imports PyTorch too

    inside_skips.show(shown.result, shown.photo.pixels, key="skips")


@st.fragment
def _download(shown: Shown) -> None:
    height, width = shown.photo.full_size
    stem = shown.photo.encoded.stem
    st.html(f"<style>{downloads.WAITING}</style>")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        stride = st.segmented_control(
            "Output",
            STRIDES,
            format_func=lambda stride: f"FCN-{stride}s",
            default=8,
            key="download_stride",
            required=True,
        )
        files = {
            f"FCN-{stride}s labels": (
                f"{stem}.{stride}s.png",
                partial(downloads.label_file, shown, stride),
            ),
            f"FCN-{stride}s overlay": (
                f"{stem}.{stride}s.overlay.png",
                partial(downloads.overlay_file, shown, stride),
            ),
            "All three side by side": (f"{stem}.png", partial(downloads.panel_file, shown)),
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
    st.code(snippets.command_line(name, side), language="bash")
    st.markdown("From Python:")
    st.code(snippets.python_lines(name, side), language="python")


def _network(_: Shown) -> None:
    from explainer.fcn.weights import SMALL

    st.markdown(SMALL.with_name("MODEL_CARD.md").read_text(encoding="utf-8"))


VIEWS: dict[str, Callable[[Shown], None]] = {
    "What changed": _changes,
    "Inside the skips": _skips,
    "Download": _download,
    "In code": _code,
    "The network": _network,
}
