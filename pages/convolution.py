"""Convolution: a window slides over the input, and every output is one weighted sum."""

from functools import partial

import streamlit as st

from explainer.components.linked_grid import LINKED_GRID
from explainer.components.staircase import STAIRCASE, chosen, staircase
from explainer.ui import lesson
from explainer.ui.controls import Choice, Controls, Switch, Whole
from explainer.ui.lesson import Notes, Question, chip
from explainer.ui.lessons import CONVOLUTION
from explainer.ui.pictures import convolution as pictures
from explainer.ui.pictures import inputs
from explainer.ui.values import readable

LARGEST = 12

CONTROLS = Controls(
    "convolution",
    [
        Whole("size", "size n", 5, "Cells of the input along an axis.", low=1, high=LARGEST),
        Whole("kernel", "kernel k", 3, "Taps of the kernel along an axis.", low=1, high=7),
        Whole("stride", "stride s", 2, "Cells from one window to the next.", low=1, high=4),
        Whole("padding", "padding p", 1, "Zeros on each side; PyTorch only.", low=0, high=4),
        Whole("dilation", "dilation d", 1, "Cells from one tap to the next.", low=1, high=4),
        Choice("axes", "Axes", "2-D", options=("1-D", "2-D")),
        Choice(
            "framework",
            "Padding as in",
            "PyTorch",
            "TensorFlow pads by scheme: SAME keeps ⌈n/s⌉ cells, VALID pads nothing.",
            options=pictures.FRAMEWORKS,
        ),
        Switch("letters", "Letters", False, "w11, x12 and y21 instead of numbers."),
        Switch("alphabet", "a … y", False, "With Letters: input a … y, kernel a … j, as in D1."),
        Choice("weights", "Kernel", "random", options=inputs.KERNELS, kind="menu"),
        Whole("seed", "Seed", 0, "Of the random kernel.", low=0, high=99),
        Whole("kernel2", "second kernel", 2, "Of the view “Two layers”.", low=1, high=5),
        Whole("stride2", "second stride", 1, "Of the view “Two layers”.", low=1, high=3),
    ],
    extras={
        lesson.VIEW: lambda text: text in pictures.VIEWS,
        "x": readable,
        "w": readable,
        lesson.PIN: lesson.usable_pin,
    },
    needs=lesson.OWN_WEIGHTS,
    framing=(lesson.VIEW, "framework"),
)

EXAMPLES = {
    "pad 1": {
        "help": "D1: 3×3, stride 1, pad 1: 4×4 → 4×4",
        "size": 4,
        "kernel": 3,
        "stride": 1,
        "padding": 1,
    },
    "stride 2": {
        "help": "D1: 3×3, stride 2, pad 1: 4×4 → 2×2",
        "size": 4,
        "kernel": 3,
        "stride": 2,
        "padding": 1,
    },
    "letters": {
        "help": "D1: kernel a … j (no i), input a … y; the output is their sum of products",
        "kernel": 3,
        "stride": 1,
        "padding": 0,
        "letters": True,
        "alphabet": True,
    },
    "4×16": {
        "help": "D4: 4×4 input, 3×3 kernel, 2×2 output is a 4×16 matrix",
        "size": 4,
        "kernel": 3,
        "stride": 1,
        "padding": 0,
        "letters": True,
        "view": "Matrix",
    },
    "4×6": {
        "help": "D2: kernel 3, pad 1 on 4 values: a 4×6 matrix on the padded input. The slide "
        "prints x y x in every row; it is x y z",
        "axes": "1-D",
        "size": 4,
        "stride": 1,
        "padding": 1,
        "letters": True,
        "view": "Matrix",
    },
    "2×6": {
        "help": "D2: the same with stride 2: a 2×6 matrix",
        "axes": "1-D",
        "size": 4,
        "stride": 2,
        "padding": 1,
        "letters": True,
        "view": "Matrix",
    },
    "SAME, 1": {
        "help": "D3: TensorFlow's SAME with stride 1: as many cells as before. The slide's layers "
        "live in tf.keras.layers, not in tf.keras.models",
        "size": 6,
        "stride": 1,
        "framework": "TF SAME",
    },
    "SAME, 2": {
        "help": "D3: TensorFlow's SAME with stride 2; the odd cell of padding goes right and below",
        "size": 6,
        "stride": 2,
        "framework": "TF SAME",
    },
    "VALID, 1": {
        "help": "D3: TensorFlow's VALID with stride 1: no padding, k − 1 cells fewer",
        "size": 6,
        "stride": 1,
        "framework": "TF VALID",
    },
    "VALID, 2": {
        "help": "D3: TensorFlow's VALID with stride 2: no padding, the last column goes unread",
        "size": 6,
        "stride": 2,
        "framework": "TF VALID",
    },
    "two layers": {
        "help": "D5: kernel k, stride s after kernel k′, stride s′. The slide lets offsets run "
        "over 0 ≤ δ ≤ k, k+1 taps; it is δ < k",
        "size": 12,
        "stride": 2,
        "kernel2": 3,
        "seed": 22,
        "view": "Two layers",
    },
}

NOTES = Notes(
    offers="""\
- The window slides (play, or point at any output); each output is one weighted sum of the cells
  under it, and the line below the picture spells it out.
- **Matrix**: the same operation as a matrix; a row is an output. **Two layers**: two convolutions
  are one larger one. **Channels**: a kernel for each input channel, and one sum. **1×1 to 21**: a
  classifier at every place.
- The stairs: the output's size against the input's. Drag along them.
- Click a cell to pin it; double-click a number of the input or the kernel to change it.""",
    slides="""\
- D1: 3×3, stride 1, pad 1: 4×4 → 4×4; with stride 2: 4×4 → 2×2.
- D2, in one dimension: kernel 3, pad 1 on 4 values is a 4×6 matrix on the padded input, with
  stride 2 a 2×6 matrix. In the matrix for stride 1 every row is printed as x y x; it must be
  x y z, as in the product beside it.
- D3: TensorFlow's VALID and SAME. The slide writes strides in the `tf.nn` way, [1, 2, 2, 1]; the
  layers live in `tf.keras.layers`, not in `tf.keras.models`.
- D4: 4×4 input, 3×3 kernel, 2×2 output: a 4×16 matrix.
- D5: a layer with kernel k and stride s after one with k′ and s′ acts as kernel k′ + (k−1)s′,
  stride s·s′. The slide, as the paper, lets offsets run over 0 ≤ δ ≤ k, which would be k+1 taps:
  it is δ < k.""",
    wrong="""\
- What PyTorch, TensorFlow and Keras call convolution is cross-correlation, ⋆: no kernel is flipped.
- The output's size is rounded **down**: with stride s up to s−1 columns at the right and the bottom
  are never read, and no warning is given.
- SAME is uneven where the padding that it needs is odd: one cell more on the right and below. For
  kernel 3 and stride 2 it is PyTorch's `padding=1` only where n is odd; for even n it pads (0, 1)
  and reads other cells.
- TensorFlow itself refuses a stride above 1 together with a dilation above 1; the numbers here are
  those of its formula.""",
    literature="""\
- Dumoulin & Visin, *A guide to convolution arithmetic for deep learning*, arXiv 1603.07285, 2016:
  chapter 2, and section 4.1 for the matrix.
- Long, Shelhamer & Darrell, *Fully convolutional networks for semantic segmentation*, CVPR 2015,
  section 3 (composition of layers).
- Lin, Chen & Yan, *Network in network*, arXiv 1312.4400, ICLR 2014 (1×1 convolutions).""",
)


PLATEAU = Question(
    "plateau",
    "Stride 2 halves, and every pixel counts.",
    "Kernel 3, stride 2, no padding: the input grows from 5 to 6 cells. The output …",
    ("grows", "stays", "shrinks"),
    "stays",
    "⌊(6 − 3)/2⌋ + 1 = 2, as for 5: the sixth cell is never read. Drag along the stairs.",
)


def told() -> bool:
    """Whether the stairs may be seen: the question is answered, or they were asked for."""
    return lesson.revealed(PLATEAU) or bool(st.session_state.get("stairs shown"))


def state() -> pictures.State:
    """The settings of the page as its pictures take them."""
    return pictures.State(
        told=told(),
        axes=2 if CONTROLS["axes"] == "2-D" else 1,
        **{name: CONTROLS[name] for name in ("size", "kernel", "stride", "padding", "dilation")},
        **{
            name: CONTROLS[name] for name in ("framework", "weights", "seed", "letters", "alphabet")
        },
        **{name: CONTROLS[name] for name in ("x", "w", "kernel2", "stride2")},
    )


def controls() -> None:
    """The row of controls."""
    idle = pictures.idle(lesson.view_of(CONTROLS, pictures.VIEWS), CONTROLS["framework"])
    with st.container(key="controls", horizontal=True, vertical_alignment="bottom"):
        for name in ("size", "kernel", "stride", "padding"):
            CONTROLS.draw(name, disabled=name in idle)
        with CONTROLS.settings():
            for name in ("dilation", "axes", "framework", "letters", "alphabet"):
                CONTROLS.draw(name, disabled=name in idle)
            for name in ("weights", "seed", "kernel2", "stride2"):
                CONTROLS.draw(name, disabled=name in idle)


def edit(now: pictures.State, view: str, what: dict) -> None:
    """Take a number that was typed into a cell into the address."""
    if view == "Two layers":
        made = pictures.layers(now)
        lesson.edit(CONTROLS, what, input=made.x, kernel=made.first)
    elif grids := pictures.channels_of(now, view):
        what = pictures.of_stack(what, {name: grid.shape[1] for name, grid in grids.items()})
        lesson.edit(CONTROLS, what, **{name: pictures.tall(grid) for name, grid in grids.items()})
    else:
        lesson.edit(CONTROLS, what, input=now.input, kernel=now.kernel_values)


def formula(now: pictures.State, view: str) -> None:
    """The size of the output, in symbols and with the numbers of the page."""
    x, w, y = partial(chip, "x"), partial(chip, "w"), partial(chip, "y")
    if view == "Two layers":
        kernel, stride = map(w, pictures.composed_sizes(now))
        k1, k2, s1, s2 = map(w, (now.kernel, now.kernel2, now.stride, now.stride2))
        lesson.formula(
            f"k′ + (k − 1)s′ = {k1} + ({k2} − 1)·{s1} = {kernel}, "
            f"stride s′·s = {s1}·{s2} = {stride}"
        )
        return
    if view == "1×1 to 21":
        lesson.formula(
            f"at every place: {y('21 scores')} = {w('W, 21×3')} · {x('3 features')}; "
            "the label is the class of the largest score"
        )
        return
    n, k, s, p, d = now.size, now.kernel, now.stride, now.padding, now.dilation
    o = pictures.output_size(now)
    if now.framework == "PyTorch":
        symbols = "o = ⌊(n + 2p − d(k − 1) − 1)/s⌋ + 1"
        live = f"⌊({x(n)} + 2·{chip('p', p)} − {w(d)}({w(k)} − 1) − 1)/{w(s)}⌋ + 1 = {y(o)}"
    elif now.framework == "TF SAME":
        symbols, live = "o = ⌈n/s⌉", f"⌈{x(n)}/{w(s)}⌉ = {y(o)}"
    else:
        symbols = "o = ⌈(n − d(k − 1))/s⌉"
        live = f"⌈({x(n)} − {w(d)}({w(k)} − 1))/{w(s)}⌉ = {y(o)}"
    left = "?" if pictures.keeps_back(now) else pictures.unused(now)
    unread = f" &emsp; never read: {chip('p', left)} along an axis" if left else ""
    lesson.formula(f"{symbols} = {live}{unread}")


def picked_size() -> None:
    """Take the size on which the visitor let go of the stairs."""
    size = chosen("stairs")
    if size is not None and 1 <= size <= LARGEST:
        CONTROLS.set(size=size)


def show_stairs() -> None:
    """Show the stairs from now on, whether or not the question is answered."""
    st.session_state["stairs shown"] = True


def stairs(now: pictures.State) -> None:
    """The output's size for every input; in their place a button while they would tell."""
    if now.told:
        steps = pictures.staircase(now, 1, LARGEST)
        staircase(steps, now.size, key="stairs", on_size=picked_size)
        return
    with st.container(key="stairs_kept", border=True):
        st.markdown("The output’s size for every input size: stairs that tell the answer.")
        st.button("Show the stairs", key="show stairs", on_click=show_stairs)


def prediction() -> None:
    """Does one more input cell change the output?"""
    lesson.ask(
        PLATEAU,
        CONTROLS,
        partial(
            CONTROLS.set,
            **{lesson.VIEW: "", "framework": "PyTorch"},
            **{"size": 6, "kernel": 3, "stride": 2, "padding": 0, "dilation": 1},
        ),
    )


def scene() -> lesson.Drawn:
    """The scene of the present settings."""
    return lesson.possible(CONTROLS, pictures.VIEWS, partial(pictures.scene, state()))


def live() -> None:
    """The picture, the formula, the prediction and the code."""
    now = state()
    view = lesson.view_of(CONTROLS, pictures.VIEWS)
    left, right = st.columns([3, 1], gap="medium")
    code = ""
    with left:
        drawn, error = scene()
        lesson.picture(drawn, CONTROLS, on={"edit": partial(edit, now, view)})
        if error is None:
            formula(now, view)
            code = pictures.snippet(now, view)
            lesson.unfit(pictures.edited(now, view))
        else:
            lesson.impossible(error, CONTROLS, lambda: pictures.check_view(state(), view))
    with right:
        # First: the answer makes the question longer, and would push them out of sight.
        if view not in pictures.WITHOUT_STAIRS:
            stairs(now)
        prediction()
    lesson.code(code)


def main() -> None:
    """Draw the page."""
    lesson.enter(CONVOLUTION, CONTROLS, LINKED_GRID, STAIRCASE)
    lesson.presets(CONTROLS, EXAMPLES)
    controls()
    lesson.live(CONTROLS, live, scene)
    lesson.below(NOTES, CONVOLUTION)


main()
