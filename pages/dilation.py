"""Dilation: gaps between the taps widen the field, and the cells in the gaps go unseen."""

from functools import partial

import streamlit as st

from explainer.components.linked_grid import LINKED_GRID
from explainer.ops import SettingError
from explainer.ui import lesson, samples
from explainer.ui.controls import Choice, Controls, Switch, Whole
from explainer.ui.lesson import Notes, Question, chip
from explainer.ui.lessons import DILATION
from explainer.ui.pictures import dilation as pictures
from explainer.ui.pictures import dilation_images as images
from explainer.ui.pictures import inputs
from explainer.ui.pictures.dilation_growth import chart
from explainer.ui.values import readable

DEFAULT = pictures.State()

CONTROLS = Controls(
    "dilation",
    [
        Whole("dilation", "dilation d", 2, "Cells from one tap to the next.", low=1, high=6),
        Whole(
            "kernel",
            "kernel k",
            3,
            "Taps along an axis.",
            low=pictures.FEWEST_TAPS,
            high=pictures.MOST_TAPS,
        ),
        Whole(
            "cells",
            "input cells n",
            DEFAULT.cells,
            "Of the pictures along one axis.",
            low=pictures.FEWEST_CELLS,
            high=pictures.MOST_CELLS,
        ),
        Whole(
            "size",
            "input size",
            9,
            "Of the pictures along two axes, along each.",
            low=1,
            high=pictures.MOST_SIZE,
        ),
        Choice("axes", "Axes", "1-D", "Of the views Resample and Pooling.", ("1-D", "2-D")),
        Whole("padding", "padding p", 0, "Zeros on each side, in the view Kernel.", low=0, high=6),
        Whole("stride", "pooling stride s", 2, "And its window, in the view Pooling.", 2, 4),
        Choice(
            "up",
            "Back up by",
            "nails",
            "Bed of nails, nearest neighbour, or bilinear interpolation.",
            options=pictures.UPSAMPLINGS,
        ),
        Choice("weights", "Weights", "ones", options=inputs.KERNELS, kind="menu"),
        Whole("seed", "Seed", 0, "Of random weights.", low=0, high=99),
        Switch("letters", "Letters", False, "w11, x12 and y21 instead of numbers."),
        Switch("colours", "Colours modulo d", True, "A colour for each class that never mixes."),
        Choice("photo", "Photo", samples.DEFAULT, options=tuple(samples.SAMPLES), kind="menu"),
        Switch("blackout", "One sub-photo black", True, "Which outputs notice?"),
        Choice(
            "signal",
            "Input",
            DEFAULT.signal,
            "A single 1, a photo, or a photo minus its mean, which has negative values.",
            options=pictures.SIGNALS,
        ),
        Choice(
            "start",
            "Start",
            DEFAULT.start,
            "The weights at first. Identity is how the context module is initialised.",
            options=pictures.STARTS,
        ),
        Choice("module", "Channels", "basic", "As in the paper.", options=pictures.MODULES),
        Whole("channels", "classes C", 21, "Channels of the input.", low=1, high=21),
    ],
    extras={
        lesson.VIEW: lambda text: text in pictures.VIEWS,
        "dilations": pictures.usable_dilations,
        "x": readable,
        "w": readable,
        lesson.PIN: lesson.usable_pin,
    },
    needs=lesson.OWN_WEIGHTS,
    framing=("view", "dilations", "axes"),
)

# The controls that matter in each view; the others are behind "All settings".
SHOWN = {
    "Stack": (),
    "Kernel": ("dilation", "kernel", "size"),
    "Resample": ("dilation", "cells", "up", "axes"),
    "Pooling": ("stride", "kernel", "cells", "axes"),
    "Photo": ("photo", "blackout"),
    "Context": ("signal", "start", "module"),
}

WITH_STACK = ("Stack", "Photo")

EXAMPLES = {
    "d = 1": {
        "help": "D2, D4: a 3×3 kernel with dilation 1",
        "view": "Kernel",
        "dilation": 1,
    },
    "d = 2": {
        "help": "D2, D4: a 3×3 kernel with dilation 2",
        "view": "Kernel",
        "dilation": 2,
    },
    "d = 3": {
        "help": "D2, D4: a 3×3 kernel with dilation 3",
        "view": "Kernel",
        "dilation": 3,
    },
    "↓ conv ↑": {
        "help": "D2, D4: like 2× downsampling, a 3×3 convolution, 2× upsampling",
        "view": "Resample",
        "axes": "2-D",
        "size": 6,
    },
    "stride off": {
        "help": "D2, D4: remove a pooling layer's stride and dilate what follows by 2",
        "view": "Pooling",
        "axes": "2-D",
        "size": 8,
    },
    "1, 2, 4": {
        "help": "D2, D4: three 3×3 layers, dilation 1, 2, 4: field 3, 7, 15",
    },
    "context": {
        "help": "D2, D4: dilations 1, 1, 2, 4, 8, 16, 1, 1; identity initialisation",
        "view": "Context",
    },
    "its field": {
        "help": "D2, D4: 3, 5, 9, 17, 33, 65, 67, 67, seen by an impulse through averages",
        "view": "Context",
        "signal": "impulse",
        "start": "average",
        "module": "large",
    },
}

BEYOND = {
    "2, 2, 2": {
        "help": "Equal dilations: which cells do they read?",
        "dilations": "2,2,2",
        "cells": 15,
    },
    "1, 2, 5": {
        "help": "Dilations that leave no hole (Wang et al., 2018)",
        "dilations": "1,2,5",
        "cells": 19,
    },
    "photo": {
        "help": "One of four sub-photos is black: what do dilations 2, 2, 2 make of it?",
        "dilations": "2,2,2",
        "view": "Photo",
        "weights": "blur",
    },
    "edges": {
        "help": "A dilated edge filter on a photo",
        "dilations": "4",
        "view": "Photo",
        "weights": "edge",
        "blackout": False,
    },
}

NOTES = Notes(
    offers="""\
- **Stack**: layers with a dilation each. The numbers count the paths from a cell to one unit of the
  top row (click a unit to choose it); 0 inside the span is a hole. Play shows the field after each
  layer. Cells of one colour never meet those of another.
- **Kernel**: one 3×3 kernel with its gaps. **Resample**: downsampling, convolution, upsampling
  beside the dilated convolution. **Pooling**: the same network with a pooling stride and without.
  Both in 1-D and 2-D.
- **Photo**: a stack on a photo, one of its sub-photos black. **Context**: the context module, run.
- The chart: how many weights a field costs. Double-click an input or a weight to change it.""",
    slides="""\
- D2, D4: dilation 1, 2, 3 of a 3×3 kernel; like 2× downsampling, a 3×3 convolution and 2×
  upsampling. It is like it, not the same: upsampling has to guess the outputs in between, the
  dilated convolution computes them.
- D2, D4: remove a pooling layer's stride and dilate what follows by 2: denser output, no
  retraining.
- D2, D4: three 3×3 layers with dilation 1, 2, 4 see 3, 7, 15 pixels: the field grows
  exponentially, the number of weights linearly.
- D2, D4: the context module; dilations 1, 1, 2, 4, 8, 16, 1, 1, the last layer 1×1; field 3, 5, 9,
  17, 33, 65, 67, 67; the large one has 2C, 2C, 4C, 8C, 16C, 32C, 32C, C channels. It starts as the
  identity (the large one in a generalised form), and is truncated (ReLU) after every layer but the
  last.
- DeepLab: dilated (atrous) convolution sets the field of view; atrous spatial pyramid pooling
  (ASPP) runs several dilations side by side on the same map and adds what they find (version 3
  stacks it); a CRF refines the edges. On this page dilated layers stand one after the other.
- The holes of equal dilations are not on the slides; they are in the literature below.""",
    wrong="""\
- A stack **spans** 1 + Σ d(k−1) cells; that is not how many it **reads**. Dilations 2, 2, 2 span 13
  and read 7.
- A common divisor is enough for holes: 2, 4, 8 keeps to every second cell. A layer of dilation 1
  removes the divisor, but 1, 9 still has holes: in order of size, no dilation may be larger than
  what the smaller ones span, 1 + Σ d(k−1).
- Padding must be d(k−1)/2 to keep the size: with dilation 2 a 3×3 kernel needs `padding=2`.
- Removing a stride changes no weight, yet what follows costs s² times the work in two dimensions.
  With padding the old values return only where no window reaches the border.
- The identity start passes only what is not negative: the first truncation cuts the rest off.""",
    literature="""\
- Yu & Koltun, *Multi-scale context aggregation by dilated convolutions*, arXiv 1511.07122, ICLR
  2016 (dilations 1, 2, 4; the context module).
- Dumoulin & Visin, *A guide to convolution arithmetic for deep learning*, arXiv 1603.07285, 2016,
  section 5.1 (the size of the output).
- Chen, Papandreou, Kokkinos, Murphy & Yuille, *Semantic image segmentation with deep convolutional
  nets and fully connected CRFs*, ICLR 2015 (the hole algorithm); *DeepLab*, TPAMI 2018 (atrous
  convolution, ASPP).
- Long, Shelhamer & Darrell, *Fully convolutional networks for semantic segmentation*, CVPR 2015,
  section 3.2: without a stride, rarefy the filters.
- Wang et al., *Understanding convolution for semantic segmentation*, arXiv 1702.08502, WACV 2018:
  gridding, and unequal dilations that leave no hole.
- Yu, Koltun & Funkhouser, *Dilated residual networks*, CVPR 2017 (gridding artifacts).
- Holschneider et al., *A real-time algorithm for signal analysis with the help of the wavelet
  transform*, 1989: the "algorithme à trous".""",
)

QUESTIONS = {
    "Kernel": Question(
        "kernel",
        "It sees everything that it spans.",
        "A 3×3 kernel with dilation 3 spans 7×7 cells. It reads …",
        ("9", "25", "49"),
        "9",
        "Nine taps read nine cells, whatever lies between them.",
    ),
    "Resample": Question(
        "resample",
        "Dilation is downsampling in one step.",
        "Down by 2, convolve, up by bed of nails: where does the dilated convolution differ?",
        ("nowhere", "where a cell was dropped", "everywhere"),
        "where a cell was dropped",
        "Where downsampling kept a cell both agree; the others are computed only below.",
    ),
    "Pooling": Question(
        "pooling",
        "Without its stride the network must be trained again.",
        "The stride goes, what follows is dilated by it. The old outputs are then …",
        ("the same", "larger", "lost"),
        "the same",
        "They read the same cells with the same weights; new ones appear between them.",
    ),
    "Photo": Question(
        "photo",
        "It sees everything that it spans.",
        "One of four sub-photos is black. After dilations 2, 2, 2, how many outputs notice?",
        ("all", "one in four", "none"),
        "one in four",
        "Even taps keep to one sub-photo: the grid stays. With 1, 2, 5 every output notices.",
    ),
    "Context": Question(
        "context",
        "Whoever sees 67×67 pixels must blur.",
        "The module starts as the identity. The photo comes out …",
        ("as it went in", "blurred", "black"),
        "as it went in",
        "Each kernel is a single 1 in its centre, and no grey level is negative.",
    ),
}


# What a revealed answer shows.
REVEALED = {
    "Kernel": {
        "dilation": pictures.ASKED_DILATION,
        "kernel": pictures.ASKED_TAPS,
        "size": 9,
        "padding": 0,
    },
    "Resample": {"dilation": 2, "up": "nails"},
    "Pooling": {"stride": 2, "kernel": 3, "cells": 17, "size": 9},
    "Photo": {"dilations": "2,2,2", "kernel": 3, "weights": "blur", "blackout": True},
    "Context": {"signal": "photo", "start": "identity"},
}


def dilations() -> tuple[int, ...]:
    """The stack of the page."""
    return pictures.read_dilations(CONTROLS["dilations"]) or DEFAULT.dilations


def told() -> bool:
    """Whether the question beside the picture has been answered."""
    question = QUESTIONS.get(lesson.view_of(CONTROLS, pictures.VIEWS))
    return revealed_cells() if question is None else lesson.revealed(question)


def revealed_cells() -> bool:
    """Whether it has been shown which cells the stack of the question reads."""
    return bool(st.session_state.get("revealed cells"))


def state() -> pictures.State:
    """The settings of the page as its pictures take them."""
    return pictures.State(
        told=told(),
        dilations=dilations(),
        unit=pictures.pinned_unit(CONTROLS[lesson.PIN]),
        axes=2 if CONTROLS["axes"] == "2-D" else 1,
        **{name: CONTROLS[name] for name in CONTROLS.controls if name != "axes"},
        **{name: CONTROLS[name] for name in ("x", "w")},
    )


# The controls


def set_dilations(values: tuple[int, ...]) -> None:
    """Take a stack into the address; the default one needs no words there."""
    CONTROLS.set(dilations="" if values == DEFAULT.dilations else pictures.written(values))


def one_more(values: tuple[int, ...]) -> None:
    """Take a stack with one more layer, and as many cells as it sees where there is room."""
    set_dilations(values)
    seen = pictures.field(values, CONTROLS["kernel"])
    if CONTROLS["cells"] < seen <= pictures.MOST_CELLS:
        CONTROLS.set(cells=seen)


def stack_row() -> None:
    """A number for the dilation of every layer, and buttons for one more or one less."""
    now = dilations()

    def changed(place: int) -> None:
        value = st.session_state[f"layer {place + 1}"]
        if value is not None:
            set_dilations((*now[:place], value, *now[place + 1 :]))

    for place, value in enumerate(now):
        key = f"layer {place + 1}"
        st.session_state[key] = value
        st.number_input(
            f"layer {place + 1}, d",
            1,
            pictures.MOST_DILATION,
            key=key,
            on_change=changed,
            args=(place,),
            width=80,  # eight stand in one row with the buttons
        )
    more = min(2 * now[-1], pictures.MOST_DILATION)
    st.button(
        "layer",
        icon=":material/add:",
        help="One more layer",
        key="add layer",
        disabled=len(now) == pictures.MOST_LAYERS,
        on_click=one_more,
        args=((*now, more),),
    )
    st.button(
        "layer",
        icon=":material/remove:",
        help="One layer less",
        key="remove layer",
        disabled=len(now) == 1,
        on_click=set_dilations,
        args=(now[:-1],),
    )


def controls(view: str) -> None:
    """The row of controls. All are drawn in every view, so that none forgets its value."""
    with st.container(key="controls", horizontal=True, vertical_alignment="bottom"):
        flat = CONTROLS["axes"] == "2-D"
        shown = ["size" if flat and name == "cells" else name for name in SHOWN[view]]
        if view in WITH_STACK:
            stack_row()
            # A row has room for all layers, or for another control in place of two of them.
            room = (pictures.MOST_LAYERS - len(state().dilations)) // 2
            shown = shown[max(0, len(shown) - room) :]
        for name in shown:
            CONTROLS.draw(name)
        with CONTROLS.settings():
            rest = [name for name in CONTROLS.controls if name not in shown]
            columns = st.columns(2, gap="medium")
            for place, name in enumerate(rest):
                with columns[2 * place // len(rest)]:
                    CONTROLS.draw(name)


# The picture


def edit(now: pictures.State, view: str, what: dict) -> None:
    """Take a number that was typed into a cell into the address."""
    if view != "Kernel":
        weights = pictures.signal_weights(now, pictures.taps(now, view))
        lesson.edit(CONTROLS, what, input=pictures.signal(now), kernel=weights)
        return
    if what.get("grid") == "kernel":
        tap = pictures.kernel_tap(now, what.get("row"), what.get("col"))
        if tap is None:
            return
        what = {**what, "row": tap[0], "col": tap[1]}
    weights, x = pictures.kernel_values(now), pictures.input_values(now)
    lesson.edit(CONTROLS, what, input=x, kernel=weights)


def formula(now: pictures.State, view: str) -> None:
    """The formula of a view, in symbols and with the numbers of the page."""
    x, w, y = partial(chip, "x"), partial(chip, "w"), partial(chip, "y")
    k, d, n = now.kernel, now.dilation, now.size
    if view == "Stack":
        seen = pictures.field(now.dilations, k)
        read = len(pictures.touched(now.dilations, k))
        counts = ("?", "?") if pictures.keeps_back(now) else (read, seen - read)
        total = " + ".join(map(str, now.dilations))
        lesson.formula(
            f"r = 1 + Σ d(k − 1) = 1 + ({w(total)})({w(k)} − 1) = {y(seen)} spanned, "
            f"{x(counts[0])} read, {chip('p', counts[1])} holes"
        )
    elif view == "Kernel":
        p, reach = now.padding, d * (k - 1) + 1
        lesson.formula(
            f"span d(k − 1) + 1 = {w(reach)} · o = n + 2p − d(k − 1) = {x(n)} + 2·{chip('p', p)} − "
            f"{w(d)}({w(k)} − 1) = {y(n + 2 * p - reach + 1)}"
        )
    elif view == "Resample":
        power = "²" if now.axes == 2 else ""
        computed, dense = pictures.computed(now)
        lesson.formula(
            f"↓{w(d)}, {pictures.RESAMPLED_TAPS}{power} taps, ↑{w(d)}: ⌈{x(now.side)}/{w(d)}⌉"
            f"{power} = {y(computed)} outputs computed · dilated: {y(dense)}"
        )
    elif view == "Pooling":
        s, cells = now.stride, now.side
        along = " along an axis" if now.axes == 2 else ""
        lesson.formula(
            f"outputs{along}: ⌊({x(cells)} − {w(s)}·{w(k)})/{w(s)}⌋ + 1 = "
            f"{y((cells - s * k) // s + 1)} with stride, {x(cells)} − {w(s)}·{w(k)} + 1 = "
            f"{y(cells - s * k + 1)} without"
        )
    elif view == "Context":
        count, total = (images.context_weights(now.module, c) for c in (1, now.channels))
        lesson.formula(
            f"r = 1 + 2(1 + 1 + 2 + 4 + 8 + 16 + 1) + 0 = {y(67)} · weights of the "
            f"{now.module} module: {w(images.grouped(count))}·C² = {w(images.grouped(total))}"
        )
    else:
        parts = images.lattice(now.dilations)
        lesson.formula(
            f"gcd({w(pictures.listed(now.dilations))}) = "
            f"{y(pictures.classes(now.dilations))} · pixels are parted by index modulo {w(parts)}"
        )


def scene() -> lesson.Drawn:
    """The scene of the present settings."""
    return lesson.possible(CONTROLS, pictures.VIEWS, partial(pictures.scene, state()))


def picture(now: pictures.State, view: str) -> None:
    """The picture of a view with its formula, or what would make it possible."""
    drawn, error = scene()
    lesson.picture(drawn, CONTROLS, on={"edit": partial(edit, now, view)})
    if error is not None:
        lesson.impossible(error, CONTROLS, lambda: pictures.check_view(state(), view))
        return
    if view == "Photo":
        st.html(images.photo_html(now))
    elif view == "Context":
        st.html(
            images.context_html(
                *(now.signal, now.start, now.photo, now.seed, now.module, now.channels),
                not pictures.keeps_context_back(now),
            )
        )
    formula(now, view)
    lesson.unfit(pictures.edited(now, view))


# Beside the picture


def mark(text: object) -> None:
    """Keep the cells that the student has clicked."""
    st.session_state["guessed"] = text if pictures.read_guess(text) else ""


def reveal() -> None:
    """Show which cells are seen, and the stack of the question."""
    st.session_state["revealed cells"] = True
    CONTROLS.set(
        view="",
        dilations=pictures.written(pictures.GUESSED),
        kernel=pictures.GUESS_TAPS,
        cells=pictures.GUESS_CELLS,
        **{lesson.PIN: "output:0,0"},
    )


def ask_again() -> None:
    """Forget the prediction."""
    st.session_state["revealed cells"] = False
    st.session_state["guessed"] = ""


def predict_cells() -> None:
    """Which of 13 cells do dilations 2, 2, 2 touch? The student clicks them."""
    revealed = revealed_cells()
    marks = st.session_state.get("guessed", "")
    with st.container(key="predict", border=True):
        belief, asked = "It sees everything that it spans.", "Dilations 2, 2, 2 span 13 cells."
        if revealed:
            st.markdown(f"{lesson.was_said(belief)}  \n{asked}")
        else:
            st.markdown(lesson.often_said(belief))
            st.markdown(f"{asked} Click those that the unit reads.")
        lesson.picture(
            pictures.guess(revealed),
            CONTROLS,
            key="guess",
            pins=False,
            marks=marks,
            on={"mark": mark},
        )
        if not revealed:
            st.button(
                "Reveal", key="reveal cells", type="primary", disabled=not marks, on_click=reveal
            )
            return
        lesson.verdict(*pictures.verdict(pictures.read_guess(marks)))
        lesson.ask_again("again cells", ask_again)


def live() -> None:
    """The picture, the formula, the prediction and the code."""
    view = lesson.view_of(CONTROLS, pictures.VIEWS)
    now = state()
    left, right = st.columns([2, 1] if view == "Stack" else [3, 1], gap="medium")
    with left:
        picture(now, view)
    with right:
        if view == "Stack":
            predict_cells()
            st.markdown(chart(now.dilations, now.kernel), unsafe_allow_html=True)
        else:
            lesson.ask(QUESTIONS[view], CONTROLS, partial(CONTROLS.set, **REVEALED[view]))
    code = images.snippet if view in ("Photo", "Context") else pictures.snippet
    try:
        lines = code(now, view)
    except SettingError as error:
        lines = f"# {error}"
    lesson.code(lines)


def main() -> None:
    """Draw the page."""
    lesson.enter(DILATION, CONTROLS, LINKED_GRID)
    lesson.presets(CONTROLS, EXAMPLES, BEYOND)
    controls(lesson.view_of(CONTROLS, pictures.VIEWS))
    lesson.live(CONTROLS, live, scene)
    lesson.below(NOTES, DILATION)


main()
