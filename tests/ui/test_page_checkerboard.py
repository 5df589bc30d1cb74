"""The lesson on checkerboards without a browser."""

import json
import re

import pytest
import torch
from torch.nn import functional as F

from explainer.ui.pictures.checkerboard import (
    IDLE,
    PREDICT_COUNTS,
    PREDICT_FLAT,
    UNEVEN_4X4,
    VIEWS,
)
from tests.ui.conftest import (
    captions,
    component,
    grids,
    html,
    mends,
    parameter,
    preset,
    presets,
    press,
    send,
)

DEFAULTS = {"kernel": 3, "stride": 2, "layers": 1, "size": 4, "padding": 0, "seed": 0}

# By button: what differs from the defaults, and what the formula and the strip must say.
PRESETS = {
    "overlap in 1-D": ({"size": 8, "axes": "1-D"}, "uneven: 2 does not divide 3"),
    "the tent": ({"weights": "tent", "view": "Phases"}, "uneven: 2 does not divide 3"),
    "in 2-D": ({}, "uneven: 2 does not divide 3"),
    "2 divides 4": ({"size": 8, "kernel": 4, "axes": "1-D"}, "even, because 2 divides 4"),
    "cures": ({"weights": "noisy", "view": "Cures"}, ""),
    "gradient": ({"view": "Gradient"}, "uneven: 2 does not divide 3"),
}


def bars(app) -> str:
    """The drawing of the phase sums, "" where there is none."""
    drawn = (part.value for part in app.markdown if 'data-role="phase-bars"' in part.value)
    return next(drawn, "")


def test_it_opens_with_a_picture_a_formula_and_a_prediction(visit_lesson):
    app = visit_lesson("checkerboard")
    assert not app.warning
    assert "uneven: 2 does not divide 3" in html(app, "formula")
    assert "phase A: 4 taps, sum 4; phase B: 2 taps, sum 2" in bars(app)
    assert any("k divisible by s cures it." in text.value for text in app.markdown)
    assert app.radio[0].options == ["flat", "with a pattern"]


@pytest.mark.parametrize("label", list(PRESETS))
def test_a_preset_sets_every_key(visit_lesson, label):
    app = visit_lesson("checkerboard", layers="2", seed="7", padding="1", kernel="5", view="Phases")
    assert presets(app) == list(PRESETS)
    preset(app, label)
    differs, said = PRESETS[label]
    for name, default in DEFAULTS.items():
        assert app.slider(key=name).value == differs.get(name, default), name
    assert app.selectbox(key="weights").value == differs.get("weights", "ones")
    assert parameter(app, "view") == differs.get("view", "")
    assert said in html(app, "formula")
    preset(app, "Reset")
    assert app.slider(key="size").value == 4
    assert not parameter(app, "view")


def test_the_cures_stand_side_by_side(visit_lesson):
    app = visit_lesson("checkerboard", view="Cures", weights="noisy")
    shown = html(app, "cures")
    assert shown.count("<figure") == 6
    for method, flat in (
        ("transposed", "false"),
        ("divisible", "false"),
        ("resize", "true"),
        ("sub-pixel", "false"),
        ("icnr", "true"),
    ):
        assert f'data-method="{method}" data-flat="{flat}"' in shown
    assert "F.pixel_shuffle" in app.code[0].value


def test_a_bad_link_falls_back_and_says_so(visit_lesson):
    app = visit_lesson("checkerboard", kernel="99", photo="dog", view="nothing", w="1,2,rm")
    said = " ".join(warning.value for warning in app.warning)
    for name in ("kernel", "photo", "view", "w"):
        assert name in said
    assert app.slider(key="kernel").value == 3
    app.slider(key="kernel").set_value(4).run()
    assert "kernel" not in " ".join(warning.value for warning in app.warning)


def test_too_many_cells_keep_the_controls_and_offer_a_way_out(visit_lesson):
    app = visit_lesson("checkerboard", kernel="5", layers="4")
    assert app.slider(key="layers").value == 4
    assert any("there is room for 48" in text.value for text in app.markdown)
    assert len(mends(app)) >= 2
    press(app, mends(app)[0])
    assert html(app, "formula")


@pytest.mark.parametrize("axes", ["1-D", "2-D"])
def test_of_a_high_stack_fewer_inputs_are_drawn_and_it_is_said(visit_lesson, axes):
    app = visit_lesson("checkerboard", axes=axes, size="4" if axes == "2-D" else "12")
    assert "Shown with" not in captions(app)
    app.slider(key="layers").set_value(4).run()
    assert not mends(app)
    drawn = grids(app)
    cells = torch.ones(1, 1, drawn["input"]["columns"])
    for _ in range(4):
        cells = F.conv_transpose1d(cells, torch.ones(1, 1, 3), stride=2)
    assert drawn["output"]["columns"] == cells.shape[2]
    assert f"Shown with n = {drawn['input']['columns']}. With n = " in captions(app)


@pytest.mark.parametrize("view", VIEWS)
def test_what_a_view_does_not_use_is_greyed(visit_lesson, view):
    app = visit_lesson("checkerboard", view=view)
    greyed = {slider.key for slider in app.slider if slider.disabled}
    assert greyed == {slider.key for slider in app.slider} & IDLE[view]


def test_the_cures_refuse_what_has_no_room(visit_lesson):
    app = visit_lesson("checkerboard", view="Cures", stride="4", layers="4")
    assert any("the photos have room for 32" in text.value for text in app.markdown)
    press(app, "mend layers = 2")
    assert html(app, "cures")


def test_edited_weights_come_from_the_link(visit_lesson):
    link = {"kernel": "4", "weights": "own", "w": UNEVEN_4X4, "view": "Phases"}
    app = visit_lesson("checkerboard", question="tent", **link)
    assert "sum 4; phase D: 4 taps, sum 8" in bars(app)
    assert not app.caption
    app.slider(key="kernel").set_value(3).run()
    assert "numbers of w in the address are for another size" in captions(app)


@pytest.mark.parametrize(
    ("question", "answer", "right", "shown"),
    [
        ("4×4", "flat", "Answer: with a pattern", {"kernel": 4, "weights": "own"}),
        ("tent", "flat", "Right: flat.** 4·¼", {"kernel": 3, "weights": "tent"}),
        ("stack", "2", "Answer: 3", {"layers": 2}),
    ],
)
def test_the_predictions_reveal_and_show_why(visit_lesson, question, answer, right, shown):
    app = visit_lesson("checkerboard", question=question, seed="3")
    reveal = next(button for button in app.button if (button.key or "").startswith("reveal "))
    assert reveal.disabled
    app.radio[0].set_value(answer).run()
    press(app, reveal.key)
    said = [box.value for box in (*app.success, *app.info)]
    assert right in said[0]
    for name, value in shown.items():
        widget = app.selectbox if name == "weights" else app.slider
        assert widget(key=name).value == value
    press(app, reveal.key.replace("reveal", "again"))
    assert not app.success
    assert not app.info


@pytest.mark.parametrize("view", ["Phases", "Gradient"])
@pytest.mark.parametrize(
    ("question", "link"),
    [
        ("tent", {"weights": "tent"}),
        ("4×4", {"kernel": "4", "weights": "own", "w": UNEVEN_4X4}),
    ],
)
def test_whether_flat_stays_flat_is_kept_back_while_it_is_asked(visit_lesson, question, link, view):
    app = visit_lesson("checkerboard", question=question, view=view, **link)
    kept = ("sums", "output") if view == "Phases" else ("gradient",)
    for name in kept:
        assert set(grids(app)[name]["texts"]) == {"?"}
    assert not bars(app)
    sent = json.loads(component(app, "linked_grid").json)
    said = [sent["rest"], *(text for name in kept for text in sent["terms"][name])]
    assert set(said) == {PREDICT_FLAT}
    app.radio[0].set_value("flat").run()
    press(app, f"reveal {question.replace('×', 'x')}")
    assert bars(app)
    assert "?" not in grids(app)["output"]["texts"]


@pytest.mark.parametrize(
    ("question", "link", "kept"),
    [
        ("tent", {"weights": "tent"}, {"transposed"}),
        # 2 divides 4: the second panel is of the same kernel.
        (
            "4×4",
            {"kernel": "4", "weights": "own", "w": UNEVEN_4X4},
            {"transposed", "divisible"},
        ),
    ],
)
def test_the_cures_keep_back_what_is_asked_and_no_more(visit_lesson, question, link, kept):
    def hidden() -> set[str]:
        figures = re.findall(r'data-method="([^"]*)"(.*?)</figure>', html(app, "cures"))
        assert len(figures) == 6
        found = {method for method, figure in figures if "<img" not in figure}
        told = {method for method, figure in figures if re.search("[✓▦]", figure)}
        assert told == {method for method, _ in figures} - found - {"photo"}
        return found

    app = visit_lesson("checkerboard", question=question, view="Cures", **link)
    assert hidden() == kept
    app.radio[0].set_value("flat").run()
    press(app, f"reveal {question.replace('×', 'x')}")
    send(app, "linked_grid", "view", VIEWS.index("Cures"))
    assert hidden() == set()


@pytest.mark.parametrize("link", [{"axes": "1-D", "size": "5"}, {}], ids=["1-D", "2-D"])
@pytest.mark.parametrize("layers", ["2", "3"])
def test_the_counts_of_a_stack_are_kept_back_while_they_are_asked(visit_lesson, link, layers):
    link = {**link, "size": "2"} if layers == "3" else link
    app = visit_lesson("checkerboard", question="stack", layers=layers, **link)
    later = set(grids(app)) - {"input", "layer1"}
    assert len(later) == int(layers) - 1
    sent = json.loads(component(app, "linked_grid").json)
    assert not sent["steps"], "they would write the counts"
    for name in later:
        assert set(grids(app)[name]["texts"]) == {"?"}
        assert set(sent["terms"][name]) == {PREDICT_COUNTS}
    assert sent["rest"] == PREDICT_COUNTS
    assert re.search("counts, <[^>]*>[?] Predict first<", html(app, "formula"))
    assert {"1", "2"} <= set(grids(app)["layer1"]["texts"]), "the question says them"
    app.radio[0].set_value("3").run()
    press(app, "reveal stack")
    told = json.loads(component(app, "linked_grid").json)
    assert "3, 2, 3, 1" in told["rest"]
    assert told["steps"]
    assert "3, 2, 3, 1" in html(app, "formula")
    assert {"1", "2", "3"} <= set(grids(app)["output"]["texts"])


@pytest.mark.parametrize(
    "link",
    [
        {"question": "stack"},
        {"question": "stack", "layers": "2", "kernel": "4"},
        {"question": "4×4", "layers": "2"},
        {"question": "4×4", "layers": "2", "kernel": "4", "weights": "own", "w": UNEVEN_4X4},
    ],
)
def test_the_coverage_keeps_back_no_more_than_is_asked(visit_lesson, link):
    app = visit_lesson("checkerboard", **link)
    assert "Predict first" not in component(app, "linked_grid").json + html(app, "formula")
    assert all("?" not in grid["texts"] for grid in grids(app).values())


def test_the_tent_of_the_slides_comes_with_its_question(visit_lesson):
    app = visit_lesson("checkerboard")
    preset(app, "the tent")
    assert "3×3 tent" in app.radio[0].label
    assert set(grids(app)["output"]["texts"]) == {"?"}
    app.selectbox(key="weights").set_value("ones").run()
    assert "?" not in grids(app)["output"]["texts"], "another kernel is not in question"


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_by_link(visit_lesson, view):
    app = visit_lesson("checkerboard", view=view, kernel="4", stride="3", axes="1-D")
    assert not app.warning
    assert app.code[0].value.count("import torch") >= 1


def test_the_formula_of_stacked_layers_is_that_of_the_stack(visit_lesson):
    app = visit_lesson("checkerboard", layers="2", axes="1-D", size="5")
    # As many paths from ones through two layers of torch, in the interior.
    x = torch.ones(1, 1, 5)
    for _ in range(2):
        x = F.conv_transpose1d(x, torch.ones(1, 1, 3), stride=2)
    interior = x[0, 0, 8:12].tolist()
    counts = re.search(r"= 4 counts, <[^>]*>([^<]*)<", html(app, "formula"))
    assert counts is not None
    told = [float(count) for count in counts[1].split(", ")]
    assert told == interior
