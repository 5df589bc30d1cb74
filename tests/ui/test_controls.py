"""Controls bound to the address, on a small page of their own."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from streamlit.testing.v1 import AppTest

from explainer.ui.controls import HEARS_WITHIN, SETTINGS, Choice, Controls, Switch, Told, Whole


def page() -> None:
    import streamlit as st

    from explainer.ui.controls import Choice, Controls, Switch, Whole
    from explainer.ui.values import readable

    controls = Controls(
        "small",
        [
            Whole("size", "size", 5, low=1, high=9),
            Choice("mode", "mode", "SAME", options=("SAME", "VALID")),
            Choice("weights", "weights", "ones", options=("ones", "blur"), kind="menu"),
            Switch("letters", "letters", False),
        ],
        extras={"x": readable},
    )
    controls.enter()
    controls.notices()
    st.button("preset", on_click=controls.preset, kwargs={"size": 7, "x": "1,2"})
    st.button("reset", on_click=controls.preset)
    for name in controls.controls:
        controls.draw(name)
    st.text(repr({name: controls[name] for name in [*controls.controls, "x"]}))


def state(at: AppTest) -> dict:
    return eval(at.text[0].value)


DEFAULTS = {"size": 5, "mode": "SAME", "weights": "ones", "letters": False, "x": ""}


def opened(**query: str) -> AppTest:
    at = AppTest.from_function(page)
    for name, value in query.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def test_one_run_supposes_and_another_beside_it_does_not():
    controls = Controls("page", [Whole("size", "size", 5, low=1, high=9)])
    with controls.supposing(size=7):
        with ThreadPoolExecutor() as beside:
            assert beside.submit(lambda: controls["size"]).result() == 5
        assert controls["size"] == 7
    assert controls["size"] == 5


def test_without_an_address_there_are_the_defaults():
    at = opened()
    assert state(at) == DEFAULTS
    assert not at.warning


def test_the_address_sets_every_kind_of_control():
    at = opened(size="2", mode="VALID", weights="blur", letters="true", x="1,2;3,4")
    assert state(at) == {
        "size": 2,
        "mode": "VALID",
        "weights": "blur",
        "letters": True,
        "x": "1,2;3,4",
    }
    assert not at.warning


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("size", "99", "a whole number from 1 to 9"),
        ("size", "two", "a whole number from 1 to 9"),
        ("size", "nan", "a whole number from 1 to 9"),
        ("size", "-inf", "a whole number from 1 to 9"),
        ("size", "", "a whole number from 1 to 9"),
        ("mode", "<b>", "one of SAME, VALID"),
        ("mode", "", "nothing. It must be one of SAME, VALID"),
        ("weights", "", "one of ones, blur"),
        ("letters", "", "true or false"),
        ("letters", "maybe", "true or false"),
        ("x", "1,2;3", "cannot read"),
    ],
)
def test_what_cannot_be_used_falls_back_and_is_said(name, text, said):
    at = opened(**{name: text})
    assert state(at) == DEFAULTS
    assert len(at.warning) == 1
    assert name in at.warning[0].value
    assert said in at.warning[0].value


def test_what_was_left_is_taken_up_again_and_what_cannot_be_used_is_not():
    at = AppTest.from_function(page)
    at.session_state["left"] = {"small": {"size": "3", "mode": "what", "x": "1,2;3"}}
    at.run()
    assert not at.exception
    assert state(at) == DEFAULTS | {"size": 3}


def test_a_number_between_two_is_the_lower_one_and_that_is_said():
    at = opened(size="2.5")
    assert state(at) == DEFAULTS | {"size": 2}
    (box,) = at.warning
    assert "size = `2.5`. It must be a whole number from 1 to 9, so here it is 2." in box.value
    assert not opened(size="2.0").warning


def test_a_notice_stays_until_its_control_is_changed():
    at = opened(size="99", mode="what")
    at.toggle[0].set_value(True).run()
    (box,) = at.warning
    assert "size = `99`" in box.value
    assert "mode = `what`" in box.value
    at.slider[0].set_value(3).run()
    (box,) = at.warning
    assert "size" not in box.value
    assert "mode = `what`" in box.value
    at.button[1].click().run()
    assert not at.warning


def page_with_settings() -> None:
    import streamlit as st

    from explainer.ui.controls import Controls, Switch, Whole

    controls = Controls("p", [Whole("size", "size", 5, low=1, high=9), Switch("on", "on", False)])
    controls.enter()
    st.button("preset", on_click=controls.preset, kwargs={"size": 7, "on": True})
    st.button("set", on_click=controls.set, kwargs={"size": 2})
    with controls.settings():
        controls.draw("size")
    controls.draw("on")
    st.text(f"{controls['size']} {controls['on']}")


def test_what_nobody_can_see_nobody_changes():
    at = AppTest.from_function(page_with_settings).run()
    # What a browser sends that has not heard of 7, together with a change that somebody made.
    at.button[0].click().run()
    assert at.text[0].value == "7 True"
    at.slider[0].set_value(5)
    at.toggle[0].set_value(False).run()
    assert at.text[0].value == "7 False"
    at.slider[0].set_value(5)
    at.button[1].click().run()
    assert at.text[0].value == "2 False"
    at.slider[0].set_value(5).run()
    assert at.text[0].value == "2 False"
    assert not at.exception


def test_what_is_seen_can_be_changed():
    at = AppTest.from_function(page_with_settings)
    at.session_state[SETTINGS] = True
    at.run()
    assert at.slider[0].set_value(3).run().text[0].value == "3 False"
    assert not at.exception


def test_a_preset_sets_every_key_of_the_page():
    at = opened(size="2", mode="VALID", letters="true", x="4")
    at.button[0].click().run()
    assert state(at) == DEFAULTS | {"size": 7, "x": "1,2"}
    at.button[1].click().run()
    assert state(at) == DEFAULTS


def test_a_click_with_an_older_address_takes_no_extra_away():
    at = opened()
    at.button[0].click().run()
    assert state(at)["x"] == "1,2"
    del at.query_params["x"]  # the click was made before the browser heard of it
    at.toggle[0].set_value(True).run()
    assert state(at) == {**DEFAULTS, "size": 7, "letters": True, "x": "1,2"}
    assert at.query_params["x"] == "1,2"


def heard_nothing(at: AppTest) -> None:
    """Let the browser have the address that it had before the preset."""
    for name in ("size", "x"):
        del at.query_params[name]


@pytest.mark.parametrize(("shown", "kept"), [(5, 7), (6, 6)], ids=["as it was", "moved"])
def test_a_click_before_the_preset_is_heard_keeps_it_and_what_the_visitor_moved(shown, kept):
    at = opened()
    at.button[0].click().run()
    heard_nothing(at)
    at.slider[0].set_value(shown)
    at.toggle[0].set_value(True).run()
    assert state(at) == {**DEFAULTS, "size": kept, "letters": True, "x": "1,2"}
    assert at.slider[0].value == kept
    assert at.query_params == {"size": str(kept), "letters": "true", "x": "1,2"}


def test_two_presets_before_either_is_heard_leave_the_second():
    at = opened()
    at.button[0].click().run()
    heard_nothing(at)
    at.slider[0].set_value(5)
    at.button[1].click().run()
    assert state(at) == DEFAULTS
    assert not {*at.query_params} & {"size", "x"}


def test_once_the_preset_is_heard_a_control_can_go_back():
    at = opened()
    at.button[0].click().run()
    at.slider[0].set_value(5).run()
    assert state(at) == {**DEFAULTS, "x": "1,2"}


OLD, NEW = {"size": "5"}, {"size": "7", "x": "1"}


@pytest.mark.parametrize(
    ("address", "unheard"),
    [
        (OLD, OLD),
        ({**OLD, "mode": "VALID"}, OLD),  # and moved since
        (NEW, None),
        ({**NEW, "mode": "VALID"}, None),
        ({**NEW, "size": "5"}, None),  # moved back
    ],
)
def test_an_address_tells_whether_the_browser_has_heard(address, unheard, monkeypatch):
    told = Told(NEW, (OLD,), when=100.0)
    monkeypatch.setattr("explainer.ui.controls.monotonic", lambda: 100.0 + HEARS_WITHIN)
    assert told.unheard_in(address) == unheard
    monkeypatch.setattr("explainer.ui.controls.monotonic", lambda: 100.1 + HEARS_WITHIN)
    assert told.unheard_in(address) is None  # a browser that never hears is still obeyed


def test_controls_say_what_they_allow():
    assert Whole("n", "n", 1, low=0, high=3).allowed() == "a whole number from 0 to 3"
    assert Switch("l", "l", False).parse("True") is True
    assert Choice("c", "c", "a", options=("a", "b")).parse("c") is None
    assert Controls("p", []).extras == {}
