"""Receptive field: what a unit deep in a network sees, and how much of it counts."""

import html
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explainer.components.photo_field import (
    PHOTO_FIELD,
    Circle,
    Picture,
    data,
    message,
    photo_field,
)
from explainer.ui import engine, influence_view, lesson, samples
from explainer.ui.controls import Choice, Controls, Switch, Whole
from explainer.ui.lesson import Notes, chip
from explainer.ui.lessons import RECEPTIVE_FIELD
from explainer.ui.pictures import receptive_field as pictures
from explainer.ui.text import plain

VIEWS = ("layers", "network")
LARGEST_RADIUS = 400

CONTROLS = Controls(
    "receptive_field",
    [
        Choice(
            "view",
            "View",
            "layers",
            "What a unit can see, from the layers; or what it really uses, on this app’s network.",
            options=VIEWS,
        ),
        Choice("photo", "Photo", samples.DEFAULT, options=tuple(samples.SAMPLES)),
        Whole(
            "radius",
            "Your circle, radius in pixels",
            200,
            "It shall hold 90 % of all influence.",
            low=5,
            high=LARGEST_RADIUS,
        ),
        Switch(
            "average",
            "Count the photo’s average",
            False,
            "One path of the last head averages its features over the whole photo, past every box.",
        ),
        Switch(
            "grey",
            "Grey out what is outside, run again",
            False,
            "Once the circle is revealed: does the label survive on what is inside alone?",
        ),
    ],
    extras={
        "layers": pictures.readable,
        "layer": pictures.usable_row,
        "place": pictures.usable_place,
    },
    framing=("view",),
)


def stack(name: str, note: str, **more: Any) -> dict[str, Any]:
    """A preset: a known stack."""
    return {"help": note, "layers": pictures.written(pictures.KNOWN[name]), **more}


EXAMPLES = {
    "AlexNet": stack("AlexNet", "D1, D5: receptive field 355, stride 32"),
    "VGG16": stack(
        "VGG16", "D1, D5: receptive field 404, stride 32; its pools see 6, 16, 44, 100, 212"
    ),
    "FCN-VGG16": stack(
        "FCN-VGG16", "D5: VGG16 as a fully convolutional network; the release pads by 100 first"
    ),
    "GoogLeNet": stack(
        "GoogLeNet", "D1, D5: receptive field 907, which counts the last pooling; 715 without it"
    ),
    "Context": stack("context module", "D2, D4: dilations 1, 1, 2, 4, 8, 16, 1, 1: field 67"),
    "2 as 1": stack(
        "two layers",
        "D5: kernel k, stride s after kernel k′, stride s′ is one layer. The slide lets offsets "
        "run over 0 ≤ δ ≤ k, which would be k+1 taps; it is δ < k",
    ),
}

BEYOND = {
    "ResNet-50": stack("ResNet-50", "427, with the strides in the 3×3 layers"),
    "MobileNet": stack("MobileNetV2", "MobileNetV2: 491"),
    "App": stack("this app, stride 32", "This app’s network, scores at stride 32: 491"),
    "at 8": stack("this app, pool3", "This app’s network, scores at stride 8: 75"),
}

NOTES = Notes(
    offers="""\
- Every layer with its field r, the stride S between units, the left edge and the centre of unit 0.
  Point at a layer: its field on the photo, for the unit nearest to the cross. Step with ← →, or
  play. Click the photo, or use the arrow keys and Enter on it, to move the cross.
- Kernel, stride, padding and dilation of every layer can be changed; **+** repeats a layer, **×**
  removes one. A click on a layer's name chooses the one that the formula is about. Names stay while
  a network is only edited a little.
- **network**: this app's own network, run on the photo. Guess the circle, then see the size of the
  gradient of the winning class's score with respect to every pixel.""",
    slides="""\
- D1, D5: FCN from AlexNet, VGG16, GoogLeNet: receptive field 355, 404, 907, stride 32. The 907
  counts GoogLeNet's last 7×7 average pooling, which FCN-GoogLeNet drops: without it 715.
- D2, D4: the context module sees 3, 5, 9, 17, 33, 65, 67, 67, by dilation alone.
- D5: a layer with kernel k and stride s after one with k′ and s′ acts as one of kernel
  k′ + (k−1)s′ and stride s·s′. It lets offsets run over 0 ≤ δ ≤ k, as the paper prints
  it, which would be k+1 taps: δ < k.""",
    wrong="""\
- The receptive field says which pixels **can** count, not how much they do. Centre pixels reach the
  unit along many paths, those at the rim along very few.
- Padding shifts the fields, it does not widen them: VGG16 with padding 100 still sees 404 pixels.
- The other way round, a box can be too small: this app's head averages its features over the whole
  photo, so its scores depend on pixels far outside the 491 of the layers. Switch it on and see.
- A gradient is local: how the score changes for small changes of a pixel. Greying out a region is
  not small, and it makes an edge that no photo has. Both are evidence, neither is proof.
- What stays in the circle may be enough, and so may what is outside: a label that survives does
  not say that the rest was never used.""",
    literature="""\
- Long, Shelhamer & Darrell, *Fully convolutional networks for semantic segmentation*, CVPR 2015,
  section 3 and table 1 (the fields; the rule for two layers).
- Luo, Li, Urtasun & Zemel, *Understanding the effective receptive field in deep convolutional
  neural networks*, NIPS 2016: the gradient's mass is close to a Gaussian that fills a small part
  of the box. It is not on the slides.
- Araujo, Norris & Sim, *Computing receptive fields of convolutional neural networks*, Distill 2019
  (left edges, centres).
- Chen, Papandreou, Schroff & Adam, *Rethinking atrous convolution for semantic image segmentation*,
  arXiv 1706.05587, 2017 (image-level features, as in this app's head).""",
)

KEY = "field"


def what(event: str) -> dict[str, Any]:
    """What the browser sent with an event; nothing in it is believed."""
    found = message(KEY, event)
    return found if isinstance(found, dict) else {}


def whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def layers() -> pictures.Layers:
    """The stack of the address."""
    text = CONTROLS["layers"]
    return (pictures.read(text) if text else None) or pictures.KNOWN[pictures.DEFAULT]


def state() -> pictures.State:
    """The settings of the page as its pictures take them."""
    height, width = influence_view.size(CONTROLS["photo"])
    y, x = pictures.place_of(CONTROLS["place"], height, width)
    chosen = int(CONTROLS["layer"] or 0) - 1
    return pictures.State(layers(), chosen, height, width, y, x)


# What the browser sends


def take(changed: pictures.Layers, **more: str) -> None:
    """Put a stack into the address, where it is within the limits of one."""
    text = pictures.written(changed)
    if pictures.readable(text):
        CONTROLS.set(layers=text, **more)
    else:
        lesson.refuse("That stack would be too long for the link.")


def on_place() -> None:
    y, x = whole(what("place").get("y")), whole(what("place").get("x"))
    text = f"{y},{x}"
    if pictures.usable_place(text):
        CONTROLS.set(place=text)


def on_layer() -> None:
    row = whole(message(KEY, "layer"))
    if row is not None and pictures.usable_row(str(row + 1)):
        CONTROLS.set(layer=str(row + 1))


def on_edit() -> None:
    row, name, now = whole(what("edit").get("row")), what("edit").get("field"), layers()
    if row is None or not 0 <= row < len(now) or name not in pictures.LIMITS:
        return
    typed = str(what("edit").get("text"))[:8]
    if not (typed.isascii() and typed.isdecimal() and pictures.fits(name, int(typed))):
        low, high = pictures.LIMITS[name]
        lesson.refuse(f"The {name} must be a whole number from {low} to {high}.")
        return
    take(pictures.with_number(now, row, name, int(typed)))


def on_change() -> None:
    row, change, now = whole(what("change").get("row")), what("change").get("what"), layers()
    if row is None or not 0 <= row < len(now):
        return
    if change == "add" and len(now) < pictures.MOST_LAYERS:
        take(pictures.with_copy(now, row))
    elif change == "remove" and len(now) > 1:
        take(pictures.without(now, row))


def on_view() -> None:
    view = whole(message(KEY, "view"))
    if view is not None and 0 <= view < len(VIEWS):
        CONTROLS.set(view=VIEWS[view])


def on_radius() -> None:
    radius = whole(message(KEY, "radius"))
    if radius is not None:
        CONTROLS.set(radius=max(5, min(LARGEST_RADIUS, radius)))


# The first view: the layers


def formula(now: pictures.State) -> None:
    """D5's rule for all layers before the chosen one, and the chosen one."""
    found = pictures.composition(now)
    before, layer, both = found.before, found.layer, found.both
    size, step = pictures.short(before.kernel), pictures.short(before.stride)
    dilated = layer.dilation > 1
    times = f"{chip('w', layer.dilation)}·" if dilated else ""
    lesson.formula(
        f"<b>{html.escape(before.name)}</b>, then <b>{html.escape(layer.name)}</b>: "
        f"k′ + {'d' if dilated else ''}(k − 1)s′ = {chip('x', size)} + "
        f"{times}({chip('w', layer.kernel)} − 1)·{chip('x', step)} "
        f"= {chip('y', pictures.short(both.kernel))}, "
        f"stride s·s′ = {chip('w', layer.stride)}·{chip('x', step)} "
        f"= {chip('y', pictures.short(both.stride))}"
    )


def mend(row: int, change: dict[str, int]) -> None:
    """Change one layer so that it fits."""
    now = layers()
    for name, value in change.items():
        if name in pictures.LIMITS and pictures.fits(name, value):
            now = pictures.with_number(now, row, name, value)
    take(now)


def too_small(now: pictures.State) -> None:
    """Say where a kernel does not fit on this photo, and offer what would."""
    found = pictures.mending(now)
    if found is None:
        return
    row, error = found
    name = now.layers[row].name
    with st.container(key="impossible", border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{plain(name)}** has no unit on this photo: {error.rule}, and its size is "
            f"{error.values['size']}. What would work:",
            width="content",
        )
        for change in error.suggestions:
            if all(key in pictures.LIMITS and pictures.fits(key, change[key]) for key in change):
                label = ", ".join(f"{key} = {value}" for key, value in change.items())
                st.button(
                    f"{name}: {label}", key=f"mend {label}", on_click=mend, args=(row, change)
                )


def layers_view(now: pictures.State) -> None:
    """The table of layers, the field on the photo, and the way to the prediction."""
    photo_field(
        pictures.picture(now, influence_view.address(CONTROLS["photo"])),
        key=KEY,
        on={
            "place": on_place,
            "layer": on_layer,
            "edit": on_edit,
            "change": on_change,
            "view": on_view,
        },
        views=len(VIEWS),
    )
    formula(now)
    if (asked := int(CONTROLS["layer"] or 0)) > len(now.layers):
        st.caption(f"This stack has no layer {asked}, so its last one is chosen.")
    too_small(now)
    with st.container(key="predict", border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"{lesson.often_said('A uniform box.')} Does every pixel in the box count alike?",
            width="stretch",
        )
        st.button(
            "Draw the circle that holds 90 %",
            key="to network",
            type="primary",
            on_click=CONTROLS.set,
            kwargs={"view": "network"},
        )


# The second view: the real network


def question(place: tuple[int, int]) -> str:
    """The name of the question in the session: a new place is a new question."""
    return f"revealed {CONTROLS['photo']} {place}"


def ungrey(place: tuple[int, int]) -> None:
    """Start with the whole photo again where another place or photo is asked about."""
    now = question(place)
    if st.session_state.setdefault("greyed", now) != now:
        st.session_state["greyed"] = now
        st.session_state["grey"] = False


def remember(name: str, value: object) -> None:
    st.session_state[name] = value


def network_view(now: pictures.State) -> None:
    """The student's circle, what the network says, and the label without the rest."""
    photo = CONTROLS["photo"]
    place = pictures.unit_place(now.y, now.x, now.height, now.width)
    ungrey(place)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        stage = st.container()
        switches = st.container(key="switches", horizontal=True, vertical_alignment="center")
    with right, st.container(key="predict", border=True, gap="small"):
        told, belief = st.session_state.get(question(place)), "A uniform box."
        st.markdown(lesson.was_said(belief) if told else lesson.often_said(belief))
        shown = answer(photo, place, switches) if told else ask(place)

    def picture() -> Picture:
        drawn = {"photo": influence_view.address(photo), "circles": [], **shown}
        drawn["circles"] = [guess(), *drawn["circles"]]
        return pictures.network_picture(height=now.height, width=now.width, place=place, **drawn)

    with stage:
        on = {"place": on_place, "radius": on_radius, "view": on_view}
        photo_field(picture(), key=KEY, on=on, views=len(VIEWS), at=CONTROLS.sliders())
        network_formula()
    if "photo" not in shown:  # what the network says of a greyed photo is not known ahead
        lesson.send_ahead(
            CONTROLS,
            KEY,
            lambda: data(picture(), KEY, views=len(VIEWS), at=CONTROLS.sliders()),
        )


def network_formula() -> None:
    """The field of the network's layers, as the sum over them."""
    wider, size = pictures.network_sum()
    terms = " + ".join(
        f"{chip('w', add)}·{chip('x', stride)}" for stride, add in wider.items() if add
    )
    lesson.formula(f"r = 1 + Σ (k − 1)·S = 1 + {terms} = {chip('y', size)}")


def guess() -> Circle:
    """The student's circle."""
    radius = CONTROLS["radius"]
    return Circle(radius, "guess", f"yours: {radius}")


def ask(place: tuple[int, int]) -> dict[str, Any]:
    """Draw the question; what the picture shows beside the student's circle."""
    st.markdown(
        "The dashed box is all that the unit at the cross can see: 491×491 pixels, 18 layers of "
        "3×3 deep. Size the circle that holds **90 %** of all that its winning score depends on: "
        "drag its edge."
    )
    CONTROLS.draw("radius")
    st.button(
        "Reveal: ask the network",
        key="reveal influence",
        type="primary",
        on_click=remember,
        args=(question(place), True),
    )
    return {"says": "Your circle: drag its edge, or press + and − here."}


def answer(photo: str, place: tuple[int, int], switches: DeltaGenerator) -> dict[str, Any]:
    """Draw what the gradient says; what the picture shows beside the student's circle.

    That is the heat map, or the photo without what is outside the circle.
    """
    radius = CONTROLS.draw("radius")
    with switches:
        CONTROLS.draw("average")
        grey = CONTROLS.draw("grey")
        st.button(
            "Ask again", key="again influence", on_click=remember, args=(question(place), False)
        )
    try:
        with st.spinner("The network runs forwards and back"):
            found = influence_view.measure(photo, *place, CONTROLS["average"])
            again = influence_view.greyed(photo, *place, radius) if grey else None
    except ValueError as error:  # weights or a device that cannot be used
        st.error(plain(str(error)), icon=":material/error:")
        return {}
    held = pictures.at_radius(found.shares, radius)
    outside = (
        f" {100 * found.outside_box:.0f} % comes from outside the box."
        if found.outside_box > 0.005
        else ""
    )
    through = "" if CONTROLS["average"] else " through its window, the photo's average held still,"
    st.markdown(
        f"Yours holds **{100 * held:.0f} %**. 90 % of what the score of *{found.answer.label}* "
        f"depends on{through} lies within **{found.radius} px**; a uniform box would need "
        f"{found.even} px.{outside}"
    )
    drawn = pictures.curve(found.shares, found.uniform, found.radius, radius, found.even)
    st.plotly_chart(drawn, key="curve", height="stretch", config={"displayModeBar": False})
    circles = [Circle(found.radius, "found", f"90 %: {found.radius}")]
    if again is None:
        says = f"Bright: pixels that count for {found.answer.label} at the cross"
        return {"circles": circles, "heat": found.heat, "says": says}
    after, source = again
    before = f"{found.answer.label} {100 * found.answer.probability:.0f} %"
    now = f"{after.label} {100 * after.probability:.0f} %"
    survives = after.label == found.answer.label
    say = st.success if survives else st.info
    say(f"{before} → {now}: the label {'survives' if survives else 'is lost'}.")
    return {"photo": source, "circles": circles, "says": f"At the cross, run again: {now}"}


def code(now: pictures.State) -> str:
    """The lines for what is on the page."""
    if CONTROLS["view"] == "layers":
        return pictures.snippet(now)
    y, x = pictures.unit_place(now.y, now.x, now.height, now.width)
    return pictures.network_snippet(
        samples.SAMPLES[CONTROLS["photo"]].file,
        influence_view.LONGEST,
        (y, x),
        CONTROLS["radius"],
        CONTROLS["average"],
    )


def live() -> None:
    """The picture, the formula, the prediction and the code."""
    now = state()
    if CONTROLS["view"] == "layers":
        layers_view(now)
    else:
        network_view(now)
    moved = pictures.outside(CONTROLS["place"], now.height, now.width)
    if moved:
        st.caption(moved)
    lesson.code(code(now))


def main() -> None:
    """Draw the page."""
    lesson.enter(RECEPTIVE_FIELD, CONTROLS, PHOTO_FIELD)
    lesson.presets(CONTROLS, EXAMPLES, BEYOND)
    with st.container(key="controls", horizontal=True, vertical_alignment="center"):
        CONTROLS.draw("view", label_visibility="collapsed")
        CONTROLS.draw("photo", label_visibility="collapsed")
    lesson.live(CONTROLS, live)
    lesson.below(NOTES, RECEPTIVE_FIELD)
    if CONTROLS["view"] == "network":
        # In the background, when all is drawn: ready when the student has sized the circle.
        engine.starting()


main()
