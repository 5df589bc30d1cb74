"""Checkerboard: copies that overlap unevenly leave a pattern that no input asked for."""

from dataclasses import replace
from functools import partial

import streamlit as st

from explainer.components.linked_grid import LINKED_GRID
from explainer.ops import SettingError
from explainer.ui import lesson
from explainer.ui.controls import Choice, Controls, Whole
from explainer.ui.lesson import Notes, Question, chip
from explainer.ui.lessons import CHECKERBOARD
from explainer.ui.pictures import checkerboard as pictures
from explainer.ui.pictures import checkerboard_cures as photos
from explainer.ui.pictures import inputs
from explainer.ui.values import readable


def whole(name: str, label: str, default: int, text: str) -> Whole:
    """A slider within the bounds of the pictures."""
    low, high = pictures.BOUNDS[name]
    return Whole(name, label, default, text, low=low, high=high)


CONTROLS = Controls(
    "checkerboard",
    [
        whole("kernel", "kernel k", 3, "Taps of the kernel along an axis."),
        whole("stride", "stride s", 2, "Cells of the output from one copy to the next."),
        whole(
            "layers",
            "layers",
            1,
            "Transposed convolutions stacked, in Coverage and Cures; "
            "Phases and Gradient are of one.",
        ),
        Choice(
            "weights",
            "Kernel",
            "ones",
            "noisy: ones plus noise, since no two trained weights are equal; own: as edited.",
            options=pictures.WEIGHTS,
            kind="menu",
        ),
        Choice("axes", "Axes", "2-D", options=("1-D", "2-D")),
        whole("size", "size n", 4, "Cells of the input along an axis."),
        whole("padding", "padding p", 0, "Cells cropped from each side of the output."),
        Whole("seed", "Seed", 0, "Of the random and the noisy kernel.", low=0, high=99),
        Choice(
            "photo",
            "Photo",
            "cat",
            "What the cures enlarge: a photo from scikit-image, or flat grey.",
            options=photos.PHOTOS,
        ),
        Choice("question", "Question", "4×4", options=("4×4", "tent", "stack")),
    ],
    extras={
        lesson.VIEW: lambda text: text in pictures.VIEWS,
        "w": readable,
        lesson.PIN: lesson.usable_pin,
    },
    needs=lesson.OWN_WEIGHTS,
    framing=(lesson.VIEW,),
)

EXAMPLES = {
    "overlap in 1-D": {
        "help": "D4: output stride 2, kernel 3; press play for Odena et al.'s animation",
        "axes": "1-D",
        "size": 8,
        "kernel": 3,
        "stride": 2,
    },
    "the tent": {
        "help": "D4: the 3×3 filter that makes stride 2 bilinear upsampling, here in its phases",
        "kernel": 3,
        "stride": 2,
        "weights": "tent",
        "view": "Phases",
        "question": "tent",
    },
}

# Odena et al. (2016), and what came after.
BEYOND = {
    "in 2-D": {
        "help": "Odena et al. 2016: along two axes it is a checkerboard",
        "kernel": 3,
        "stride": 2,
    },
    "2 divides 4": {
        "help": "Odena et al. 2016: where s divides k, overlap is even",
        "axes": "1-D",
        "size": 8,
        "kernel": 4,
        "stride": 2,
    },
    "cures": {
        "help": "Odena et al. 2016 and later: the cures, with noisy weights",
        "kernel": 3,
        "stride": 2,
        "weights": "noisy",
        "view": "Cures",
    },
    "gradient": {
        "help": "Odena et al. 2016: a strided convolution sends the same pattern back",
        "kernel": 3,
        "stride": 2,
        "view": "Gradient",
    },
}

NOTES = Notes(
    offers="""\
- **Coverage**: how many taps land on each output cell, in 1-D and 2-D, for one to four stacked
  layers. Press play: every input stamps its copy, and the counts add up.
- **Phases**: an output cell only ever meets the taps of one of the s×s phases. The interior of a
  flat input prints the sums of the phases. Double-click a weight to change it.
- **Cures**: one small photo, enlarged in five ways, with what each makes of a flat input.
- **Gradient**: the same pattern in what a strided convolution sends back to its input.""",
    slides="""\
- D4 shows the one-dimensional animation of output stride 2 and kernel 3, which is from Odena,
  Dumoulin & Olah (2016): play the first example.
- When overlap is even, why that is not enough, and the cures are from there and from the papers
  below, **not on the slides**.
- D4's 3×3 tent is on the slides as bilinear upsampling. That it overlaps unevenly and stays flat
  is an addition of this page.""",
    wrong="""\
- *k divisible by s* makes the **counts** even, not the **sums**. Trained weights differ, and so do
  their sums: a pattern can be learned all the same. And uneven counts can have equal sums, as the
  tent has.
- Padding crops the border; the interior keeps its pattern.
- Stacking does not even it out by itself: for k = 3, s = 2 the largest count along an axis is 2, 3,
  5, 8 times the smallest after one to four layers. Weights could learn to cancel the pattern; Odena
  et al. found that they often do not.
- Sub-pixel convolution (pixel shuffle) is a transposed convolution whose kernel the stride divides,
  with a kernel of its own for each phase. From a random start it **shows a pattern too**; ICNR
  starts all s² kernels equal, which is nearest-neighbour resizing. Training may bring the pattern
  back; nothing holds the sums equal.
- Resize, then convolve: every output meets the whole kernel, so flat stays flat whatever the
  weights. It costs more: the convolution runs at the large size.""",
    literature="""\
- Odena, Dumoulin & Olah, *Deconvolution and checkerboard artifacts*, Distill, 2016: “Deconvolution
  & Overlap”, “Overlap & Learning”, “Better Upsampling” (nearest neighbour did better than bilinear
  there), “Artifacts in Gradients”.
- Shi et al., *Real-time single image and video super-resolution using an efficient sub-pixel
  convolutional neural network*, arXiv 1609.05158, CVPR 2016 (pixel shuffle).
- Aitken et al., *Checkerboard artifact free sub-pixel convolution*, arXiv 1707.02937, 2017 (ICNR).
- Sugawara, Shiota & Kiya, *Super-resolution using convolutional neural networks without any
  checkerboard artifacts*, ICIP 2018 (a condition for no pattern, from multirate systems).""",
)

QUESTIONS = {
    "4×4": (
        Question(
            "4x4",
            "k divisible by s cures it.",
            "A 4×4 kernel, stride 2: rows 1 1 1 1 and 1 2 1 2 in turn. Every output gets 4 taps. "
            "A flat input of 1 comes out …",
            ("flat", "with a pattern"),
            "with a pattern",
            "The counts are even, 4 each, but the phases sum to 4, 4, 4 and 8: the interior "
            "prints these sums.",
        ),
        {
            "kernel": 4,
            "stride": 2,
            "weights": inputs.OWN,
            "w": pictures.UNEVEN_4X4,
            "view": "Phases",
        },
    ),
    "tent": (
        Question(
            "tent",
            "Uneven counts always show.",
            "The 3×3 tent ¼ ½ ¼ / ½ 1 ½ / ¼ ½ ¼, stride 2: 4, 2, 2 or 1 taps land on a cell. "
            "A flat input of 1 comes out …",
            ("flat", "with a pattern"),
            "flat",
            "4·¼ = 2·½ = 1: each of the four phases sums to 1. That is bilinear upsampling.",
        ),
        {"kernel": 3, "stride": 2, "weights": "tent", "view": "Phases"},
    ),
    "stack": (
        Question(
            "stack",
            "A second layer evens it out.",
            "Kernel 3, stride 2, along one axis: the counts of the interior are 2 and 1. After a "
            "second such layer the largest is … times the smallest.",
            ("1", "1.5", "2", "3"),
            "3",
            "3, 2, 3 and 1 in turn: one pattern on top of the other. In 2-D it is 9 to 1.",
        ),
        {"kernel": 3, "stride": 2, "layers": 2, "axes": "1-D", "size": 5},
    ),
}


# What each question asks of its kernel, along any axes and of any number of cells.
ASKED: dict[str, pictures.Kept] = {"4×4": "sums", "tent": "sums", "stack": "counts"}
KERNEL = ("kernel", "stride", "weights", "w")


def kept() -> pictures.Kept:
    """What the pictures keep back: what the open question asks, where they show its kernel."""
    asked = CONTROLS["question"]
    question, shown = QUESTIONS[asked]
    here = all(CONTROLS[name] == shown[name] for name in KERNEL if name in shown)
    return ASKED[asked] if here and not lesson.revealed(question) else ""


def settings() -> pictures.State:
    """The settings of the page as its pictures take them."""
    names = ("size", "kernel", "stride", "padding", "layers", "weights", "seed", "w", "photo")
    return pictures.State(
        axes=2 if CONTROLS["axes"] == "2-D" else 1,
        kept=kept(),
        **{name: CONTROLS[name] for name in names},
    )


def state() -> pictures.State:
    """What is drawn: the settings, with fewer cells of input where the view has no room."""
    return pictures.fitted(settings(), lesson.view_of(CONTROLS, pictures.VIEWS))


def controls() -> None:
    """The row of controls."""
    idle = pictures.IDLE[lesson.view_of(CONTROLS, pictures.VIEWS)]
    with st.container(key="controls", horizontal=True, vertical_alignment="bottom"):
        for name in ("kernel", "stride", "layers", "weights", "axes"):
            CONTROLS.draw(name, disabled=name in idle)
        with CONTROLS.settings():
            for name in ("size", "padding", "seed", "photo"):
                CONTROLS.draw(name, disabled=name in idle)


def room(now: pictures.State, view: str) -> None:
    """Say why there are fewer cells of input than the slider asks for."""
    wanted = settings()
    if now == wanted:
        return
    try:
        pictures.check_view(wanted, view)
    except SettingError as error:
        st.caption(f"Shown with n = {now.size}. With n = {wanted.size} {error.rule}.")


def edit(now: pictures.State, what: dict) -> None:
    """Take a weight that was typed into the kernel into the address."""
    lesson.edit(CONTROLS, what, kernel=now.kernel_values)


MOST_COUNTS = 9  # that the formula spells out


def counts(now: pictures.State) -> str:
    """What stacked layers repeat along an axis, as the formula says it."""
    if now.kept == "counts":
        return "? Predict first"
    repeated = pictures.pattern(now).tolist()
    few = len(repeated) <= MOST_COUNTS
    return ", ".join(map(str, repeated)) if few else f"{min(repeated)} … {max(repeated)}"


def formula(now: pictures.State, view: str) -> None:
    """How many taps land on a cell, in symbols and with the numbers of the page."""
    k, s = chip("w", now.kernel), chip("w", now.stride)
    if view == pictures.VIEWS[0] and now.layers > 1:
        lesson.formula(
            f"paths to a cell, along an axis: {chip('w', now.layers)} layers repeat "
            f"{s}<sup>{now.layers}</sup> = {len(pictures.pattern(now))} counts, "
            f"{chip('y', counts(now))}"
        )
        return
    least, most = now.kernel // now.stride, -(-now.kernel // now.stride)
    taps = chip("y", least) if least == most else f"{chip('y', least)} or {chip('y', most)}"
    lesson.formula(
        f"taps on a cell, along an axis: ⌊k/s⌋ or ⌈k/s⌉ = ⌊{k}/{s}⌋ or ⌈{k}/{s}⌉ = {taps}, "
        f"{pictures.verdict(now)}"
    )


def prediction() -> None:
    """Counts or sums: which of them makes the checkerboard?"""
    chosen = CONTROLS.draw("question", label_visibility="collapsed")
    question, shown = QUESTIONS[chosen]
    lesson.ask(question, CONTROLS, partial(CONTROLS.preset, question=chosen, **shown))


def scene() -> lesson.Drawn:
    """The scene of the present settings."""
    return lesson.possible(CONTROLS, pictures.VIEWS, partial(pictures.scene, state()))


def live() -> None:
    """The picture, the formula, the prediction and the code."""
    now = state()
    view = lesson.view_of(CONTROLS, pictures.VIEWS)
    # Photos have two axes, whatever the other views show.
    shown = replace(now, axes=2) if view == "Cures" else now
    left, right = st.columns([3, 1], gap="medium")
    code = ""
    with left:
        drawn, error = scene()
        lesson.picture(drawn, CONTROLS, on={"edit": partial(edit, now)})
        if error is not None:
            lesson.impossible(error, CONTROLS, lambda: pictures.check_view(state(), view))
        else:
            if view == "Cures":
                st.html(photos.panels_html(photos.panels(now)))
            formula(now, view)
            room(now, view)
            code = photos.snippet(now) if view == "Cures" else pictures.snippet(now, view)
            own = inputs.own(now.weights, now.w)
            lesson.unfit({"w": (own, [shown.kernel_values.shape])})
    with right:
        prediction()
        if view == pictures.VIEWS[0] and now.layers > 1:
            st.caption("The kernel of one layer:")
        if now.kept != "sums":
            st.markdown(pictures.bars(shown), unsafe_allow_html=True)
    lesson.code(code)


def main() -> None:
    """Draw the page."""
    lesson.enter(CHECKERBOARD, CONTROLS, LINKED_GRID)
    lesson.presets(CONTROLS, EXAMPLES, BEYOND)
    controls()
    lesson.live(CONTROLS, live, scene)
    lesson.below(NOTES, CHECKERBOARD)


main()
