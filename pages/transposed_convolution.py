"""Transposed convolution: every input stamps a weighted copy of the kernel."""

from dataclasses import replace
from functools import partial

import streamlit as st

from explainer.components.linked_grid import LINKED_GRID
from explainer.components.staircase import STAIRCASE, chosen, staircase
from explainer.ui import lesson
from explainer.ui.controls import Choice, Controls, Switch, Whole
from explainer.ui.lesson import Notes, Question, chip
from explainer.ui.lessons import TRANSPOSED_CONVOLUTION
from explainer.ui.pictures import inputs
from explainer.ui.pictures import transposed_convolution as pictures
from explainer.ui.values import readable

START = pictures.State()

BELIEF = "padding adds, output_padding fills with zeros."

# What stands below the cases of the slides, and what is asked beside them.
FORMULAS = {
    "computed or empty": "cropped after the output: padding − output_padding = "
    f"{chip('p', '1 − 1 = 0')} or {chip('p', '0 − 1 = −1')}, beyond the canvas",
    "not an inverse": f"b = Cᵀ v = CᵀC {chip('x', 'x')}: CᵀC is not the identity, so b is not "
    f"{chip('x', 'x')}",
    "one filter or several": f"a row of Cᵀ holds every s-th tap: {chip('w', '1 filter')} for "
    f"s = 1, {chip('w', '2 filters')} for s = 2",
}
QUESTIONS = {
    "computed or empty": Question(
        "computed or empty",
        BELIEF,
        "Stride 3, kernel 3, and output_padding 2. From which padding on is no cell of the output "
        "empty?",
        ("0", "1", "2", "3"),
        "2",
        "The frame ends padding − output_padding cells before the canvas does: from padding 2 on "
        "it stays inside, and with stride 3 the copies leave no gap.",
    ),
    "not an inverse": Question(
        "not an inverse",
        "It undoes the convolution.",
        "Here C takes 9 numbers to 4. Is there another matrix that takes every C x back to x?",
        ("yes", "no"),
        "no",
        "Many inputs have the same four outputs, and nothing can tell which of them it was.",
    ),
    "one filter or several": Question(
        "one filter or several",
        "It is a convolution with one filter.",
        "Stride 3, kernel 3. How many different filters do the rows of Cᵀ hold?",
        ("1", "2", "3", "9"),
        "3",
        "One for each phase of the output, here of a single tap each.",
    ),
}

SLIDERS = ("size", "kernel", "stride", "padding", "output_padding")


def whole(name: str, label: str, help_: str) -> Whole:
    """A slider whose bounds and default are those of the pictures."""
    low, high = pictures.LIMITS[name]
    return Whole(name, label, getattr(START, name), help_, low=low, high=high)


CONTROLS = Controls(
    "transposed_convolution",
    [
        whole("size", "size n", "Cells of the input along an axis."),
        whole("kernel", "kernel k", "Taps of the kernel along an axis."),
        whole("stride", "stride s", "Cells of the output from one copy to the next."),
        whole("padding", "padding p", "Cells that are cropped from the canvas on both sides."),
        whole(
            "output_padding",
            "output_padding",
            "Cells fewer that are cropped at the right and at the bottom.",
        ),
        whole("dilation", "dilation d", "Cells from one tap to the next."),
        Choice("axes", "Axes", "2-D", options=("1-D", "2-D")),
        Choice(
            "framework",
            "Crop as in",
            START.framework,
            "Keras's Conv2DTranspose crops by scheme: SAME to n·s cells, VALID nothing.",
            options=pictures.FRAMEWORKS,
        ),
        Switch("letters", "Letters", False, "w11, x12 and y21 instead of numbers."),
        Choice("weights", "Kernel", START.weights, options=inputs.KERNELS, kind="menu"),
        Whole("seed", "Seed", START.seed, "Of the random kernel.", low=0, high=99),
    ],
    extras={
        lesson.VIEW: lambda text: text in pictures.TABS,
        "more": lambda text: text in pictures.SIDE_BY_SIDE,
        "x": readable,
        "w": readable,
        lesson.PIN: lesson.usable_pin,
    },
    needs=lesson.OWN_WEIGHTS,
    framing=(lesson.VIEW, "framework"),
)

EXAMPLES = {
    "four copies": {
        "help": "D1: input [[0,1],[2,3]], kernel [[0,1],[2,3]], stride 1: four weighted copies, "
        "summed where they overlap",
        "size": 2,
        "kernel": 2,
        "stride": 1,
        "padding": 0,
        "weights": inputs.OWN,
        "x": "0,1;2,3",
        "w": "0,1;2,3",
    },
    "2×2 → 4×4": {
        "help": "D1: 3×3, stride 2, pad 1; it needs output_padding 1, which the slide does not say",
        "size": 2,
        "kernel": 3,
        "stride": 2,
        "padding": 1,
        "output_padding": 1,
    },
    "1-D": {
        "help": "D1 and D4: a kernel of 3 in one dimension, output stride 2",
        "axes": "1-D",
        "size": 2,
        "kernel": 3,
        "stride": 2,
        "padding": 0,
        "letters": True,
    },
    "16×4": {
        "help": "D4: 2×2 → 4×4 with 3×3, stride 1, as a 16×4 matrix",
        "size": 2,
        "kernel": 3,
        "stride": 1,
        "padding": 0,
        "letters": True,
        "view": "Matrix",
    },
    "6×4": {
        "help": "D2: kernel 3, pad 1, stride 1 in one dimension: the transpose of a 4×6 matrix",
        "axes": "1-D",
        "size": 4,
        "kernel": 3,
        "stride": 1,
        "padding": 1,
        "letters": True,
        "view": "Matrix",
        "more": "one filter or several",
    },
    "6×2": {
        "help": "D2: the same with stride 2: the last row is all zeros, an output that nothing "
        "reaches (no padding, output_padding 1)",
        "axes": "1-D",
        "size": 2,
        "kernel": 3,
        "stride": 2,
        "padding": 0,
        "output_padding": 1,
        "letters": True,
        "view": "Matrix",
    },
    "bilinear": {
        "help": "D4: which 3×3 filter makes stride 2 bilinear? Zeros in between, then "
        "[[¼,½,¼],[½,1,½],[¼,½,¼]]",
        "size": 3,
        "kernel": 3,
        "stride": 2,
        "padding": 1,
        "weights": "tent",
        "view": "Zero insertion",
    },
    "no inverse": {
        "help": "D2: [[37,47],[67,77]] came from 1 … 9 with [[1,2],[3,4]]; this does not lead back",
        "size": 2,
        "kernel": 2,
        "stride": 1,
        "padding": 0,
        "weights": inputs.OWN,
        "x": "37,47;67,77",
        "w": "1,2;3,4",
        "view": pictures.CASES,
        "more": "not an inverse",
    },
    "VALID, 1": {
        "help": "D3: Keras Conv2DTranspose, VALID, stride 1",
        "framework": pictures.KERAS_VALID,
        "size": 2,
        "kernel": 3,
        "stride": 1,
    },
    "VALID, 2": {
        "help": "D3: Keras Conv2DTranspose, VALID, stride 2",
        "framework": pictures.KERAS_VALID,
        "size": 2,
        "kernel": 3,
        "stride": 2,
    },
    "SAME, 2": {
        "help": "D3: Keras Conv2DTranspose, SAME, stride 2: only the far side is cropped",
        "framework": pictures.KERAS_SAME,
        "size": 2,
        "kernel": 3,
        "stride": 2,
    },
}

NOTES = Notes(
    offers="""\
- **Overlap-add** (key 1): play it, and every input stamps its weighted copy of the kernel onto the
  canvas; the numbers are the sums so far. The dashed frame is the output: drag its edges.
- **Matrix** (2): the matrix C of the convolution turns into Cᵀ. A row of Cᵀ makes one output, a
  column is the stamp of one input. **Zero insertion** (3): zeros between the inputs, then the
  flipped kernel with stride 1. **Gradient** (4): the convolution forward, its gradient backward.
- All four compute the same numbers; the line below the picture checks it. A pinned cell stays
  pinned from view to view.
- ⋆ is cross-correlation, which a convolutional layer computes: the kernel slides as it is. ∗ is
  convolution in the strict sense: the kernel is flipped first.
- **Cases** (5): two cases of the slides side by side.
- The stairs: the convolution takes several sizes to the same one. output_padding says which of them
  to go back to. Drag along them.
- Click a cell to pin it; double-click a number of the input or the kernel to change it.""",
    slides="""\
- D1: [[0,1],[2,3]] with the kernel [[0,1],[2,3]] and stride 1 gives [[0,0,1],[0,4,6],[4,12,9]].
- D1: 3×3, stride 2, pad 1: 2×2 → 4×4. In PyTorch that takes `output_padding=1`, which the slide
  does not say; without it the output is 3×3. In the convolution the filter moves 2 cells of the
  input for one of the output; here 2 of the output for one of the input.
- The names: upconvolution, fractionally strided convolution, backward convolution; “deconvolution”
  is wrong, because nothing is undone (D1, D2, D3).
- D2: the transposes of the 4×6 and the 2×6 matrix. With stride 1 the result is a convolution again;
  with a larger stride it is not: rows hold different taps. The last row of the 6×2 matrix is zero:
  stride 2, kernel 3, no padding, output_padding 1.
- D2: [[1,2,3],[4,5,6],[7,8,9]] with [[1,2],[3,4]] gives [[37,47],[67,77]]; back the deck shows
  [[148,299,141],[342,640,278],[134,221,77]]. That is with the flipped kernel; the transpose of that
  very convolution gives [[37,121,94],[178,500,342],[201,499,308]]. Neither is the input.
- D2: “backward convolution” is the same computation as the gradient by the input, implemented by
  exchanging forward and backward.
- D3: Keras `Conv2DTranspose`: VALID stride 1, VALID stride 2, SAME stride 2; here 2 cells with a
  kernel of 3 become 4, 5 and 4.
- D4: the 16×4 matrix, one equation at a time; by rows it convolves with the flipped filter, by
  columns it places copies. Later slides print the input vector as z11, z12, x21, z22; it is z21.
  (D4 writes z for what is x here, and x for what is y.)""",
    wrong="""\
- **padding adds.** It crops: the setting belongs to the convolution that is transposed.
- **output_padding fills with zeros.** It crops less at the right and at the bottom. Those cells are
  sums like all others, unless output_padding exceeds padding: then the frame reaches beyond the
  canvas, where nothing arrives, and PyTorch leaves 0 or the bias.
- output_padding 0 … stride−1 tells apart the sizes that the convolution takes to n; from stride on
  that convolution would give more than n cells. PyTorch allows it below dilation all the same.
  `nn.ConvTranspose2d(...)(x, output_size=...)` finds it for you.
- Keras SAME with stride 2 and kernel 3 gives 4 cells as PyTorch's padding 1, output_padding 1 does,
  but crops the other side: the two outputs are one cell apart.
- The kernel is flipped in zero insertion only because a convolution in deep learning is a
  cross-correlation. In overlap-add it is stamped as it is.""",
    literature="""\
- Dumoulin & Visin, *A guide to convolution arithmetic for deep learning*, arXiv 1603.07285, 2016,
  chapter 4; its *a* is output_padding (section 4.6).
- Long, Shelhamer & Darrell, *Fully convolutional networks for semantic segmentation*, CVPR 2015,
  section 3.3: upsampling is backwards strided convolution.
- Zeiler, Krishnan, Taylor & Fergus, *Deconvolutional networks*, CVPR 2010: where the misleading
  name comes from; those do solve an inverse problem.
- Shi et al., *Is the deconvolution layer the same as a convolutional layer?*, arXiv 1609.07009,
  2016: one layer of stride s against s² convolutions at low resolution.""",
)


def state() -> pictures.State:
    """The settings of the page as its pictures take them."""
    return pictures.State(
        axes=2 if CONTROLS["axes"] == "2-D" else 1,
        **{name: CONTROLS[name] for name in pictures.LIMITS},
        **{name: CONTROLS[name] for name in ("framework", "weights", "seed", "letters")},
        **{name: CONTROLS[name] for name in ("x", "w")},
    )


def controls() -> None:
    """The row of controls."""
    idle = pictures.idle(lesson.view_of(CONTROLS, pictures.TABS), CONTROLS["framework"])
    with st.container(key="controls", horizontal=True, vertical_alignment="bottom"):
        for name in SLIDERS:
            CONTROLS.draw(name, disabled=name in idle)
        with CONTROLS.settings():
            for name in ("dilation", "axes", "framework", "letters", "weights", "seed"):
                CONTROLS.draw(name, disabled=name in idle)


def edit(now: pictures.State, what: dict) -> None:
    """Take a number that was typed into a cell into the address."""
    lesson.edit(CONTROLS, what, input=now.input, kernel=now.kernel_values)


def move_frame(now: pictures.State, what: dict) -> None:
    """Crop as the visitor dragged the frame, as far as that is possible, and say why no further."""
    left, right = what.get("left"), what.get("right")
    if isinstance(left, int) and isinstance(right, int):
        if why := pictures.not_there(now, left, right):
            lesson.refuse(why)
        CONTROLS.set(**pictures.dragged(now, left, right))


def formula(now: pictures.State, view: str) -> None:
    """The size of the output, and whether the four computations agree."""
    n, k, s = chip("x", now.size), chip("w", now.kernel), chip("w", now.stride)
    d = chip("w", now.dilation)
    y = chip("y", pictures.build(now).output)
    if now.framework == pictures.PYTORCH:
        p, extra = chip("p", now.padding), chip("p", now.output_padding)
        symbols = "o = (n − 1)s − 2p + d(k − 1) + output_padding + 1"
        live = f"({n} − 1)·{s} − 2·{p} + {d}({k} − 1) + {extra} + 1"
    elif now.framework == pictures.KERAS_SAME:
        symbols, live = "o = n·s", f"{n}·{s}"
    else:
        symbols, live = "o = (n − 1)s + max(k, s)", f"({n} − 1)·{s} + max({k}, {s})"
    lesson.formula(f"{symbols} = {live} = {y} {agreement(pictures.shown(now, view))}")


def agreement(now: pictures.State) -> str:
    """How far the numbers of the four views are apart, as HTML."""
    apart = pictures.disagreement(now)
    why = "Each of the four views computes y on its own; this is the largest difference"
    return f'<span class="badge" title="{why}">4 views differ by {apart:.1g}</span>'


def stairs(now: pictures.State) -> None:
    """Which step of the convolution's stairs output_padding picks."""

    def pick() -> None:
        size = chosen("stairs")
        if size is not None:
            CONTROLS.set(**pictures.picked(now, size))

    labels = {
        size: f"+{extra}" for size, extra in pictures.sources(now).items() if extra is not None
    }
    here = pictures.build(now).output
    # The page's o is where the convolution back begins, and its n is where that ends.
    way = {"title": "the convolution back: n for each o", "names": ("o", "n")}
    staircase(pictures.stairs(now), here, key="stairs", labels=labels, on_size=pick, **way)
    st.markdown(pictures.sources_in_words(now))


def prediction(now: pictures.State) -> None:
    """Ask about the next setting; after the answer its question stays while its settings do."""
    asked = st.session_state.get("asked")
    if not (asked and asked[2] == now and st.session_state.get(f"revealed {asked[0]}")):
        key = " ".join(str(getattr(now, name)) for name in ("axes", "framework", *pictures.LIMITS))
        found = pictures.prediction(now)
        asked = (key, found, replace(now, **found.then))
    key, found, _ = asked

    def reveal() -> None:
        st.session_state["asked"] = asked
        CONTROLS.set(**found.then)

    question = Question(key, BELIEF, found.text, found.options, found.answer, found.why)
    lesson.ask(question, CONTROLS, reveal)


def case() -> str:
    """Which cases of the slides stand side by side."""
    return CONTROLS["more"] or next(iter(pictures.SIDE_BY_SIDE))


def scene() -> lesson.Drawn:
    """The scene of the present settings."""
    if lesson.view_of(CONTROLS, pictures.TABS) == pictures.CASES:
        return pictures.cases(case()), None
    return lesson.possible(CONTROLS, pictures.TABS, partial(pictures.scene, state()))


def cases() -> None:
    """Two cases of the slides side by side, whatever the settings."""

    def choose() -> None:
        CONTROLS.set(more=st.session_state["case"])

    left, right = st.columns([3, 1], gap="medium")
    with left:
        lesson.picture(scene()[0], CONTROLS)
        lesson.formula(FORMULAS[case()])
    with right:
        st.session_state["case"] = case()
        st.selectbox("Side by side", tuple(pictures.SIDE_BY_SIDE), key="case", on_change=choose)
        lesson.ask(QUESTIONS[case()], CONTROLS)


def live() -> None:
    """The picture, the formula, the prediction and the code."""
    view = lesson.view_of(CONTROLS, pictures.TABS)
    if view == pictures.CASES:
        cases()
        return
    now = state()
    drawn, error = scene()
    left, right = st.columns([3, 1], gap="medium")
    with left:
        on = {"edit": partial(edit, now), "frame": partial(move_frame, now)}
        lesson.picture(drawn, CONTROLS, on=on)
        if error is not None:
            lesson.impossible(error, CONTROLS, lambda: pictures.build(state()))
            return
        formula(now, view)
        own = inputs.own(now.weights, now.w)
        lesson.unfit({"x": (now.x, [now.shape]), "w": (own, [now.kernel_values.shape])})
    with right:
        prediction(now)
        stairs(now)
    lesson.code(pictures.snippet(now, view))


def main() -> None:
    """Draw the page."""
    lesson.enter(TRANSPOSED_CONVOLUTION, CONTROLS, LINKED_GRID, STAIRCASE)
    lesson.presets(CONTROLS, EXAMPLES)
    controls()
    lesson.live(CONTROLS, live, scene)
    lesson.below(NOTES, TRANSPOSED_CONVOLUTION)


main()
