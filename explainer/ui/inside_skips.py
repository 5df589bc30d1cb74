"""The section "Inside the skips" of the first page: what each stride adds to a class's score."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from explainer.components.skip_explorer import message, skip_explorer
from explainer.components.skip_explorer.payload import (
    BACKGROUND,
    Removal,
    output_map,
    payload,
    read_pixel,
    read_removal,
    sample_step,
    scores_at,
    without_text,
)
from explainer.fcn.result import Segmentation
from explainer.ui.text import plain

CLASS_PARAMETER, PIXEL_PARAMETER = "skip_class", "pixel"

WHY = (
    "After the score maps everything is linear, so a class's score at a pixel is an **exact sum** "
    "of a few cells times their bilinear weights; to remove a cell is to set one number to 0. "
    "Point at any picture to read it everywhere; click, or arrows and Enter, to pin a pixel, Esc "
    "to let it go."
)


@dataclass(frozen=True)
class Probe:
    """What the visitor chose, for one photo."""

    photo: str
    class_index: int
    pixel: tuple[int, int] | None = None
    """The pinned pixel; None: the telling one for the class, `telling_pixel`."""
    removal: Removal = field(default_factory=Removal)
    notices: tuple[str, ...] = ()


def parse_class(text: str, classes: tuple[str, ...]) -> int:
    """The index of a class given by its name.

    Raises:
        ValueError: there is no such class; the message names the ones there are.
    """
    names = [name.lower() for name in classes]
    if text.strip().lower() in names:
        return names.index(text.strip().lower())
    raise ValueError(
        f"The network has no class “{text[:40]}”. It knows {', '.join(classes[:-1])} and "
        f"{classes[-1]}."
    )


def parse_pixel(text: str, height: int, width: int) -> tuple[int, int]:
    """The pixel (y, x) in a text such as "120,240".

    Raises:
        ValueError: it is not two whole numbers inside the photo.
    """
    numbers = [part.strip() for part in text.split(",")]
    if len(numbers) == 2 and all(
        number.isascii() and number.isdigit() and len(number) <= 6 for number in numbers
    ):
        y, x = map(int, numbers)
        if y < height and x < width:
            return y, x
    raise ValueError(
        f"There is no pixel “{text[:40]}” in this photo. It takes the row and the column, "
        f"such as {height // 2},{width // 2}; the last pixel is {height - 1},{width - 1}."
    )


def found_classes(result: Segmentation) -> dict[int, float]:
    """The classes of the finest labels and their share of the pixels, largest first."""
    labels = result.labels[min(result.scores)]
    counts = np.bincount(labels.ravel(), minlength=len(result.classes))
    order = sorted(np.flatnonzero(counts), key=lambda i: (-counts[i], i))
    return {int(i): float(counts[i] / labels.size) for i in order}


def default_class(result: Segmentation) -> int:
    """The largest class that is not the background; the background where nothing else is found."""
    return next((i for i in found_classes(result) if i != BACKGROUND), BACKGROUND)


def telling_pixel(result: Segmentation, class_index: int) -> tuple[int, int]:
    """A pixel (y, x) at which to begin: where the skips won it for this class.

    Of the pixels that the coarsest output labels otherwise and the finest gives to this class,
    the one that the finest output is surest of (margin to the next class), away from the photo's
    border if possible; without any, the pixel with the class's largest score in the picture.
    """
    finest, coarsest = min(result.scores), max(result.scores)
    here = result.labels[finest] == class_index
    ys, xs = np.nonzero(here & (result.labels[coarsest] != class_index))
    if not len(ys):
        step = sample_step(result.height, result.width)
        scores = output_map(result, class_index, step)
        row, col = np.unravel_index(scores.argmax(), scores.shape)
        return int(row) * step, int(col) * step
    inner = (np.minimum(ys, result.height - 1 - ys) >= coarsest) & (
        np.minimum(xs, result.width - 1 - xs) >= coarsest
    )
    if inner.any():
        ys, xs = ys[inner], xs[inner]
    thin = -(-len(ys) // 20_000)
    ys, xs = ys[::thin], xs[::thin]
    scores = scores_at(result.sums[finest], ys, xs)
    others = np.delete(scores, class_index, axis=0).max(0)
    best = int((scores[class_index] - others).argmax())
    return int(ys[best]), int(xs[best])


def change_words(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    classes: tuple[str, ...],
    removal: Removal,
    strides: Collection[int] = (32, 16, 8),
) -> str:
    """What a removal does to the labels, in a sentence; empty if nothing is removed.

    `strides` are those of the maps that there are.
    """
    missing = without_text(removal, max(strides))
    if not missing:
        return ""
    missing = missing[0].upper() + missing[1:]
    if removal.strides.issuperset(strides):
        return (
            f"{missing} nothing is left to decide: every class scores 0 everywhere, and of equal "
            f"scores the first one, {classes[0]}, is taken."
        )
    moved = before != after
    count = int(moved.sum())
    if not count:
        return f"{missing} every pixel keeps its label."
    pairs = before[moved].astype(int) * 256 + after[moved]
    old, new = divmod(int(np.bincount(pairs).argmax()), 256)
    most = int(np.bincount(pairs).max())
    share = 100 * count / before.size
    percent = f"{share:.1f} %" if share >= 0.1 else "less than 0.1 %"
    return (
        f"{missing} {percent} of the pixels get another label; most: "
        f"{most:,} px {classes[old]} → {classes[new]}."
    )


def _fingerprint(result: Segmentation, pixels: NDArray[np.uint8]) -> str:
    """Of the photo and of what the network made of it."""
    digest = hashlib.blake2b(pixels.tobytes(), digest_size=8)
    digest.update(str(pixels.shape).encode())
    digest.update(result.scores[max(result.scores)].values.tobytes())
    return digest.hexdigest()


def _from_url(photo: str, result: Segmentation) -> Probe:
    """The state that the address asks for; what is wrong in it becomes a notice."""
    probe = Probe(photo, default_class(result))
    notices = []
    if (name := st.query_params.get(CLASS_PARAMETER)) is not None:
        try:
            probe = replace(probe, class_index=parse_class(name, result.classes))
        except ValueError as error:
            shown = result.classes[probe.class_index]
            notices.append(f"{error} Shown instead: {shown}.")
    if (text := st.query_params.get(PIXEL_PARAMETER)) is not None:
        try:
            probe = replace(probe, pixel=parse_pixel(text, result.height, result.width))
        except ValueError as error:
            notices.append(f"{error} Shown instead: a telling one.")
    return replace(probe, notices=tuple(notices))


def _to_url(probe: Probe, result: Segmentation) -> None:
    """Class and pinned pixel in the address, defaults left out; other parameters stay."""
    wanted = {
        CLASS_PARAMETER: result.classes[probe.class_index]
        if probe.class_index != default_class(result)
        else None,
        PIXEL_PARAMETER: f"{probe.pixel[0]},{probe.pixel[1]}" if probe.pixel else None,
    }
    for parameter, value in wanted.items():
        if st.query_params.get(parameter) == value:
            continue
        if value is None:
            del st.query_params[parameter]
        else:
            st.query_params[parameter] = value


def _without(result: Segmentation, probe: Probe, key: str) -> Segmentation:
    """The result without what was removed; kept, as pinning another pixel does not change it."""
    if not probe.removal:
        return result
    slot, question = f"{key}-without", (probe.photo, probe.removal)
    kept = st.session_state.get(slot)
    if kept is None or kept[0] != question:
        changed = result.without(
            strides=sorted(probe.removal.strides), cells=sorted(probe.removal.cells)
        )
        kept = st.session_state[slot] = (question, changed)
    return kept[1]


def _choose_class(result: Segmentation, probe: Probe, key: str) -> None:
    """The row of classes; the choice goes into the state in the widget's callback."""
    found = found_classes(result)
    widget = f"{key}-class"

    def chosen() -> None:
        now: Probe = st.session_state[key]
        st.session_state[key] = replace(now, class_index=st.session_state[widget], notices=())

    def label(index: int) -> str:
        share = found.get(index, 0.0)
        text = f" {share:.0%}" if share >= 0.01 else " <1%" if share else ""
        return result.classes[index] + text

    left, right = st.columns([5, 1], vertical_alignment="bottom")
    everything = right.toggle(
        f"all {len(result.classes)}", key=f"{key}-all", help="Also the classes that were not found"
    )
    options = list(range(len(result.classes))) if everything else list(found)
    if probe.class_index not in options:
        options.append(probe.class_index)
    st.session_state[widget] = probe.class_index
    left.pills(
        "Class",
        options,
        key=widget,
        required=True,
        format_func=label,
        on_change=chosen,
        label_visibility="collapsed",
    )


@st.fragment
def show(result: Segmentation, pixels: NDArray[np.uint8], *, key: str, head: str = "") -> None:
    """The whole section; clicks inside rerun only the section.

    Args:
        result: the segmentation of the photo.
        pixels: the photo as segmented, (height, width, 3) uint8.
        key: prefix of everything that the section keeps in `st.session_state`; under the key
            itself lies its `Probe`, which starts anew when photo or network change.
        head: the name of the output.

    Raises:
        ValueError: the photo has another size than the result.
    """
    photo = _fingerprint(result, pixels)
    probe: Probe | None = st.session_state.get(key)
    if probe is None:
        probe = _from_url(photo, result)
    elif probe.photo != photo:
        probe = Probe(photo, default_class(result))
    st.session_state[key] = probe
    _to_url(probe, result)

    st.markdown(WHY)
    for notice in probe.notices:
        st.warning(plain(notice))
    _choose_class(result, probe, key)

    component = f"{key}-picture"

    def update(**changes: object) -> None:
        now: Probe = st.session_state[key]
        st.session_state[key] = replace(now, notices=(), **changes)

    def pin() -> None:
        pixel = read_pixel(message(component, "pin"), result.height, result.width)
        if pixel is not None:
            update(pixel=pixel)

    def remove() -> None:
        update(removal=read_removal(message(component, "remove"), result))

    finest = min(result.scores)
    changed = _without(result, probe, key)
    skip_explorer(
        payload(
            result,
            pixels,
            probe.class_index,
            probe.pixel or telling_pixel(result, probe.class_index),
            removal=probe.removal,
            changed=changed,
            words=change_words(
                result.labels[finest],
                changed.labels[finest],
                result.classes,
                probe.removal,
                result.scores,
            ),
            head=head,
        ),
        key=component,
        on_pin=pin,
        on_free=lambda: update(pixel=None),
        on_remove=remove,
    )
