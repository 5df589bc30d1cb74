"""Unpooling: three ways back from a pooled map, each the transpose of a pooling."""

from functools import partial

import streamlit as st

from explainer.components.linked_grid import LINKED_GRID
from explainer.ui import lesson
from explainer.ui.controls import Controls, Switch, Whole
from explainer.ui.lesson import Notes, chip
from explainer.ui.lessons import UNPOOLING
from explainer.ui.pictures import unpooling as pictures
from explainer.ui.values import readable

CONTROLS = Controls(
    "unpooling",
    [
        Whole("size", "size n", 4, "Cells of the input along an axis.", low=2, high=8),
        Whole("kernel", "kernel k", 2, "Cells of a pooling window along an axis.", low=1, high=4),
        Whole("stride", "stride s", 2, "Cells from one window to the next.", low=1, high=4),
        Switch("average", "Average", False, "The first pooling divides its sums by k²."),
        Switch(
            "align_corners",
            "align_corners",
            False,
            "Bilinear and bicubic: whether the centres of the corner cells coincide, or the edges.",
        ),
    ],
    extras={
        lesson.VIEW: lambda text: text in pictures.VIEWS,
        "x": readable,
        "z": readable,
        lesson.PIN: lesson.usable_pin,
    },
)

EXAMPLES = {
    "nearest": {
        "help": "D1, D2, D4: every value fills its block. [[1,2],[3,4]] → [[1,1,2,2], …]",
        "pin": "nearest:0,2",
    },
    "bed of nails": {
        "help": "D1, D2, D4: every value in the first cell of its block, zeros around it",
        "pin": "nails:0,2",
    },
    "max unpooling": {
        "help": "D1, D2, D4: [[5,6],[7,8]] are the maxima; [[1,2],[3,4]] goes back to their places",
        "pin": "unpooled:1,1",
    },
    "interpolation": {
        "help": "D2, D5: fixed interpolation: nearest, bilinear, bicubic",
        "view": "Interpolation",
    },
}

BEYOND = {
    "ties": {
        "help": "Equal values in every window: the first of them is remembered, row by row",
        "x": pictures.TIES,
        "pin": "unpooled:0,1",
    },
    "overlap": {
        "help": "3×3 windows one cell apart choose the 6 twice: the transpose adds, "
        "max_unpool2d overwrites",
        "kernel": 3,
        "stride": 1,
        "pin": "summed:0,2",
    },
}

NOTES = Notes(
    offers="""\
- Three poolings of the same input x; below each its transpose, which takes z back to the size of x.
  Point at any cell to see what belongs to it; play to see it window by window.
- z is what the rest of the network makes of the pooled map. Double-click a number of z or of x to
  change it. Cells that differ from the start get a dotted border.
- A kernel larger than the stride makes windows overlap, a smaller one leaves gaps.
- **Interpolation**: nearest, bilinear and bicubic, with fixed weights.""",
    slides="""\
- Nearest: [[1,2],[3,4]] → [[1,1,2,2],[1,1,2,2],[3,3,4,4],[3,3,4,4]] (D1, D2, D4).
- Bed of nails: [[1,2],[3,4]] → [[1,0,2,0],[0,0,0,0],[3,0,4,0],[0,0,0,0]] (D1, D2, D4).
- Max pooling 2×2 of [[1,2,6,3],[3,5,2,1],[1,2,2,1],[7,3,4,8]] gives [[5,6],[7,8]] and remembers
  where each maximum was. After the rest of the network, max unpooling puts [[1,2],[3,4]] back
  there: [[0,0,2,0],[0,1,0,0],[0,0,0,0],[3,0,0,4]]. Down- and upsampling layers come in pairs (D1,
  D2, D4).
- Fixed interpolation: nearest, bilinear, bicubic (D2, D5).
- That each of them is the transpose of a pooling is not written on the slides; it follows from
  their numbers.""",
    wrong="""\
- *Max unpooling restores.* It restores places, not values: all but the maxima are gone, and what it
  puts at their places is z, not x.
- Nearest is the transpose of **sum** pooling; the transpose of average pooling divides by k² too.
  Neither is an inverse.
- Equal values in a window: PyTorch remembers the first, row by row, and so does this page.
- Overlapping windows may choose the same cell. The transpose, which is max pooling's gradient, adds
  what arrives there; PyTorch's `max_unpool2d` overwrites. With one thread the last value wins, as
  shown here; with several, or on a GPU, any of them may.
- `max_unpool2d` needs `output_size` where the windows do not fit: a 4×4 and a 5×5 input both give
  2×2 maxima.""",
    literature="""\
- Zeiler & Fergus, *Visualizing and understanding convolutional networks*, ECCV 2014 (unpooling with
  switches).
- Noh, Hong & Han, *Learning deconvolution network for semantic segmentation*, arXiv 1505.04366,
  ICCV 2015 (unpooling in a network that is trained).
- Badrinarayanan, Kendall & Cipolla, *SegNet: A deep convolutional encoder-decoder architecture for
  image segmentation*, TPAMI 2017 (the decoder uses the pooling indices).
- Keys, *Cubic convolution interpolation for digital image processing*, IEEE Transactions on
  Acoustics, Speech, and Signal Processing, 1981 (the family of cubic kernels; Keys chose slope −½,
  PyTorch takes −¾).""",
)

# Under this key of the session: the input for which a student predicts, the marks, whether told.
PREDICTION = "unpooling prediction"


def state() -> pictures.State:
    """The settings of the page as its pictures take them."""
    return pictures.State(
        **{name: CONTROLS[name] for name in ("size", "kernel", "stride", "average")},
        **{name: CONTROLS[name] for name in ("align_corners", "x", "z")},
    )


def controls() -> None:
    """The row of controls."""
    with st.container(key="controls", horizontal=True, vertical_alignment="bottom"):
        for name in ("size", "kernel", "stride"):
            CONTROLS.draw(name)
        with CONTROLS.settings():
            for name in ("average", "align_corners"):
                CONTROLS.draw(name)


def edit(now: pictures.State, what: dict) -> None:
    """Take a number that was typed into a cell into the address."""
    found = pictures.compute(now)
    lesson.edit(CONTROLS, what, input=found.x, z=found.z)


def formula(now: pictures.State, view: str) -> None:
    """The sizes on the way down and up, in symbols and with the numbers of the page."""
    n, k, s, o = now.size, now.kernel, now.stride, pictures.pooled_size(now)
    x, w, y = partial(chip, "x"), partial(chip, "w"), partial(chip, "y")
    if view == pictures.VIEWS[1]:
        lesson.formula(f"o·s = {x(o)}·{w(s)} = {y(o * s)} cells along an axis")
        return
    lesson.formula(
        f"down: o = ⌊(n − k)/s⌋ + 1 = ⌊({x(n)} − {w(k)})/{w(s)}⌋ + 1 = {y(o)}"
        f" &emsp; up: y = Aᵀz, {x(f'{o}×{o}')} → {y(f'{n}×{n}')}"
    )


# Predict, then reveal: the cells of max unpooling


def question(now: pictures.State) -> dict | None:
    """The prediction that is being made for these numbers; new numbers end it."""
    made = st.session_state.get(PREDICTION)
    asked_for = (now.size, now.kernel, now.stride, now.x)
    return made if made and made["for"] == asked_for else None


def ask_for(now: pictures.State) -> None:
    """Hide max unpooling's result for these numbers and let the student mark its cells."""
    asked_for = (now.size, now.kernel, now.stride, now.x)
    st.session_state[PREDICTION] = {"for": asked_for, "marks": "", "told": False}
    CONTROLS.set(**{"view": "", lesson.PIN: ""})


def move_the_five(predict: bool) -> None:
    """The slide's input with its 5 one cell further up."""
    CONTROLS.preset(x=pictures.MOVED)
    st.session_state.pop(PREDICTION, None)
    if predict:
        ask_for(pictures.State(x=pictures.MOVED))


def mark(now: pictures.State, marks: object) -> None:
    """Keep what the student has marked."""
    asked = question(now)
    if asked and not asked["told"] and isinstance(marks, str):
        guess = pictures.guessed(marks, now)
        cells = ",".join(map(str, sorted(guess)))
        asked["marks"] = f"{pictures.UNPOOLED}:{cells}" if cells else ""


def tell(now: pictures.State) -> None:
    """Reveal the answer."""
    asked = question(now)
    if asked:
        asked["told"] = True


def forget() -> None:
    """End the prediction."""
    st.session_state.pop(PREDICTION, None)


def prediction(now: pictures.State) -> None:
    """Where will max unpooling put its values?"""
    asked = question(now)
    with st.container(key="predict", border=True):
        st.markdown(lesson.often_said("Max unpooling restores."))
        if asked is None:
            slide = now == pictures.State()
            st.markdown(
                f"{'The 5 moves one cell up. ' if slide else ''}"
                "Where will max unpooling put the values of z?"
            )
            moved = partial(
                st.button,
                "Move the 5, and predict" if slide else "The slide’s, with its 5 moved",
                on_click=move_the_five,
                args=(True,),
                key="predict_moved",
            )
            these = partial(
                st.button,
                "Predict for these numbers",
                on_click=ask_for,
                args=(now,),
                key="predict_now",
            )
            # First what leaves the visitor's own numbers as they are.
            first, then = (moved, these) if slide else (these, moved)
            first(type="primary")
            then()
            return
        guess = pictures.guessed(asked["marks"], now)
        if not asked["told"]:
            st.markdown("Which cells of max unpooling get a value of z? **Click them.**")
            st.button(
                f"Reveal ({len(guess)} marked)",
                type="primary",
                disabled=not guess,
                on_click=tell,
                args=(now,),
                key="reveal",
            )
            st.button("Not now", on_click=forget, key="not_now")
            return
        lesson.verdict(*pictures.verdict(now, guess))
        with st.container(horizontal=True):
            st.button("Ask again", on_click=ask_for, args=(now,), key="ask_again")
            st.button("Done", on_click=forget, key="done")


def loss(now: pictures.State) -> None:
    """How much max pooling throws away, and two ways to see it."""
    lost, cells = pictures.gone(now)
    st.subheader(f"{lost} of {cells} values are gone", anchor=False)
    st.markdown("after max pooling, whatever comes next.")
    with st.container(key="trials", horizontal=True):
        st.button(
            "Move the 5",
            on_click=move_the_five,
            args=(False,),
            help="Not on the slides: the 5 moves up, its window's maximum stays.",
            disabled=now == pictures.State(x=pictures.MOVED),
            key="move_five",
        )
        st.button(
            "z = maxima",
            on_click=CONTROLS.set,
            kwargs={"z": pictures.maxima_as_z(now), "view": ""},
            help="As if the rest of the network changed nothing: is this x again?",
            key="maxima_as_z",
        )


def scene() -> lesson.Drawn:
    """The scene of the present settings, with max unpooling hidden while it is predicted."""
    now = state()
    asked = question(now)
    hidden = asked is not None and not asked["told"]
    return lesson.possible(CONTROLS, pictures.VIEWS, partial(pictures.scene, now, hidden=hidden))


def picture(now: pictures.State, view: str) -> bool:
    """The picture with its formula, or what would make it possible; whether there is one."""
    asked = question(now)
    drawn, error = scene()
    lesson.picture(
        drawn,
        CONTROLS,
        marks=asked["marks"] if asked else "",
        on={"edit": partial(edit, now), "mark": partial(mark, now)},
    )
    if error is not None:
        lesson.impossible(error, CONTROLS, lambda: pictures.compute(state()))
        return False
    formula(now, view)
    z = pictures.compute(now).z
    lesson.unfit({"x": (now.x, [now.shape]), "z": (now.z, [z.shape])})
    return True


def live() -> None:
    """The picture, the formula, the prediction and the code."""
    now = state()
    view = lesson.view_of(CONTROLS, pictures.VIEWS)
    left, right = st.columns([3, 1], gap="medium")
    with left:
        drawn = picture(now, view)
    if drawn:
        with right:
            prediction(now)
            loss(now)
        lesson.code(pictures.snippet(now, view))


def main() -> None:
    """Draw the page."""
    lesson.enter(UNPOOLING, CONTROLS, LINKED_GRID)
    lesson.presets(CONTROLS, EXAMPLES, BEYOND)
    controls()
    lesson.live(CONTROLS, live, scene)
    lesson.below(NOTES, UNPOOLING)


main()
