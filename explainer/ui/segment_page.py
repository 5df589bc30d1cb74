"""The first page: a photo and its segmentations, with skips at strides 32, 16 and 8."""

import html
import time
from contextlib import suppress
from dataclasses import replace

import streamlit as st
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from explainer.fcn.catalogue import NETWORKS
from explainer.fcn.photo import PhotoError, decode
from explainer.ui import engine, network_view, networks, photo_source, samples, segment_views
from explainer.ui.lessons import SEGMENT
from explainer.ui.shell import collector, open_page
from explainer.ui.text import plain
from explainer.ui.visit import BUNDLED, Choice, Encoded, Prepared, Shown, Visit, visit


def show() -> None:
    """Draw the page for the visitor whose session runs this script."""
    now = visit()
    photo_source.follow_link(now)
    networks.follow_link(now)
    now.follow_link(photo_source.SIDE, "longest side", photo_source.SIDES)
    now.follow_link(segment_views.VIEW, "view", segment_views.VIEWS)
    choice = now.choice if networks.ready(now.choice) else BUNDLED
    _accept_pending(now, photo_source.longest_side())  # before the row says which sample is shown
    remembered = _begin(now, photo_source.longest_side(), choice)
    last = now.known(photo_source.longest_side(), choice) or now.shown
    heading = open_page(SEGMENT, None if choice.bundled else networks.sentence(choice, last))
    side = photo_source.draw(now)
    # Places of their own for all that is there in some runs only: an element that moves is drawn
    # beside its old self until the run ends, and is made anew.
    error, notice, preview = st.empty(), st.empty(), st.empty()
    busy = st.container(key="busy")
    if now.error:
        error.error(plain(now.error), icon=":material/broken_image:")
    if unread := " ".join(filter(None, [now.notice, *now.unread.values()])):
        notice.warning(plain(unread), icon=":material/link_off:")
    if choice != now.choice:
        notice.info(network_view.absent(now.choice), icon=":material/download:")
    known = now.known(side, choice)
    if known is None:
        try:
            with busy:
                _segment(now, side, choice, preview, remembered)
            if not choice.bundled:  # what a file holds is known only now
                heading.markdown(networks.sentence(choice, now.shown), width="content")
        except (ValueError, RuntimeError) as unusable:  # it says what to do
            if isinstance(unusable, ValueError) and not choice.bundled:
                networks.choose(now, BUNDLED)
                now.error = str(unusable)
                st.rerun()
            error.error(plain(str(unusable)), icon=":material/error:")
            st.button("Try again", icon=":material/refresh:")
    else:
        now.shown = known
    if now.shown is None:
        return
    _viewer(now.shown)
    segment_views.draw(now.shown)
    if known is None:
        collector.collect_if_due()


def prepare(encoded: Encoded, side: int) -> Prepared:
    """Decode a photo at the size that the network gets.

    Raises:
        PhotoError: the file cannot be used.
    """
    began = time.perf_counter()
    photo = decode(encoded.data, encoded.name, longest=side)
    seconds = time.perf_counter() - began
    return Prepared(encoded, side, photo.pixels, photo.size, photo.notes, seconds)


def timing_line(shown: Shown, draw: float) -> str:
    """What ran where and how long it took, e.g. "segmented at 768×576 on cpu: …"."""
    result = shown.result
    stages = {
        "decode": shown.photo.seconds,
        "forward": sum(shown.run.timings.values()),
        "draw": draw,
    }
    said = {name: f"{name} {1000 * seconds:.0f} ms" for name, seconds in stages.items()}
    if shown.remembered:
        said["forward"] += ", remembered"
    times = " · ".join(said.values())
    return f"segmented at {result.width}×{result.height} on {result.device}: {times}"


def _accept_pending(now: Visit, side: int) -> None:
    """Show the photo just handed in, or say why not and keep what is on the screen."""
    pending, now.pending = now.pending, None
    if pending is None:
        return
    try:
        now.prepared = prepare(pending, side)
    except PhotoError as error:
        now.error = str(error)
        return
    now.chosen = pending
    now.error = now.notice = ""
    photo_source.forget_link(now)


def _begin(now: Visit, side: int, choice: Choice) -> bool:
    """Let the bundled network compute while the page is drawn; whether there is an answer before.

    That is asked here: the network may be done with this visitor's own photo before `_segment`.
    """
    if now.chosen is None or now.known(side, choice) is not None:
        return False
    with suppress(ValueError, RuntimeError):  # `_segment` meets it too, where it can be shown
        pixels = _prepared(now, now.chosen, side).pixels
        remembered = networks.remembered(choice, pixels)
        if choice.bundled:
            engine.begin(pixels)
        return remembered
    return False


def _prepared(now: Visit, chosen: Encoded, side: int) -> Prepared:
    """The chosen photo, decoded anew only where the last one decoded is another."""
    last = now.prepared
    if last is None or last.side != side or last.encoded.digest != chosen.digest:
        now.prepared = prepare(chosen, side)
    elif last.encoded != chosen:  # the same bytes, under another name
        now.prepared = replace(last, encoded=chosen)
    else:
        return last
    return now.prepared


def _segment(
    now: Visit, side: int, choice: Choice, preview: DeltaGenerator, remembered: bool
) -> None:
    """Segment the chosen photo with a network.

    Args:
        remembered: whether the network need not run for it.

    Raises:
        ValueError: the weights or the device cannot be used.
        RuntimeError: too many visitors wait, or memory ran out everywhere.
    """
    assert now.chosen is not None, "follow_link chooses a photo in the first run"
    photo = _prepared(now, now.chosen, side)
    if now.shown is None:
        preview.html(_preview(photo, choice))
    with st.spinner("Loading the network"):
        engine.seat()
    with st.spinner("Segmenting"):
        place = st.empty()
        found = networks.segment(choice, photo, lambda ahead: place.markdown(queue_line(ahead)))
        now.shown = replace(found, remembered=remembered)
        place.empty()
    now.remember(now.shown)
    preview.empty()


def queue_line(ahead: int) -> str:
    """What a visitor reads who waits, e.g. "3 photos before yours"."""
    return "" if ahead == 0 else f"{ahead} photo{'s' if ahead > 1 else ''} before yours"


def _preview(photo: Prepared, choice: Choice) -> str:
    """The photo and an empty panel an output: how the viewer will look, before the network ran."""
    source = samples.data_uri(Image.fromarray(photo.pixels))
    height, width = photo.pixels.shape[:2]
    picture = f'<img src="{source}" alt="{html.escape(photo.encoded.name)}">'
    network = NETWORKS[choice.network]
    frames = "".join(
        f'<div class="preview-head" style="aspect-ratio: {width}/{height}">{name}</div>'
        for name in network.names(networks.mode(choice))
    )
    columns = 1 + len(network.outputs)
    return f'<div class="preview" style="--panels: {columns}">{picture}{frames}</div>'


def _viewer(shown: Shown) -> None:
    # Imports PyTorch, which the page that is still waiting for its first result must not.
    from explainer.components.segment_viewer import segment_viewer
    from explainer.fcn.render import LEAST_SHARE, found, percent

    began = time.perf_counter()
    segment_viewer(shown.run, shown.photo.pixels, key="viewer")
    line = timing_line(shown, time.perf_counter() - began)
    names = [f"**{plain(shown.photo.encoded.name)}**"]
    if not shown.choice.bundled:
        names.append(f"**{plain(shown.run.title)}**")
    if not any(map(found, shown.run.labels.values())):
        least = percent(LEAST_SHARE)
        names.append(f"**Nothing found**: no class covers {least} of the photo")
    st.caption(" · ".join([*names, line, *shown.photo.notes]))
