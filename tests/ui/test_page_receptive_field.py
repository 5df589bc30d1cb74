"""The lesson on receptive fields without a browser."""

import re

import pytest

from explainer.ui.pictures import receptive_field as pictures
from tests.ui.conftest import captions, html, mends, parameter, preset, presets, press, send

NAME = "receptive_field"

# By button: the stack, and field and stride as the lectures have them.
PRESETS = {
    "AlexNet": ("AlexNet", "355", "32"),
    "VGG16": ("VGG16", "404", "32"),
    "FCN-VGG16": ("FCN-VGG16", "404", "32"),
    "GoogLeNet": ("GoogLeNet", "907", "32"),
    "Context": ("context module", "67", "1"),
    "2 as 1": ("two layers", "7", "4"),
    "ResNet-50": ("ResNet-50", "427", "32"),
    "MobileNet": ("MobileNetV2", "491", "32"),
    "App": ("this app, stride 32", "491", "32"),
    "at 8": ("this app, pool3", "75", "8"),
}


def formula(app) -> str:
    """The formula as plain text."""
    return re.sub(r"<[^>]*>", "", html(app, "formula"))


def test_it_opens_with_the_fields_of_vgg16(visit_lesson):
    app = visit_lesson(NAME)
    assert not app.warning
    assert formula(app) == (
        "all up to pool5, then fc6: k′ + (k − 1)s′ = 212 + (7 − 1)·32 = 404, "
        "stride s·s′ = 1·32 = 32"
    )
    assert "A uniform box" in " ".join(text.value for text in app.markdown)
    assert "(7, 1, 0, 1),  # fc6" in app.code[0].value


def test_every_preset_sets_all_keys(visit_lesson):
    app = visit_lesson(NAME, layers="5-3", layer="1", place="9,9", photo="coffee", radius="99")
    assert "then layer 1" in formula(app)
    assert presets(app) == list(PRESETS)
    for label, (name, size, stride) in PRESETS.items():
        preset(app, label)
        assert formula(app).endswith(f"= {stride}"), label
        assert f"= {size}, stride" in formula(app), label
        assert app.query_params["layers"] == pictures.written(pictures.KNOWN[name])
        assert "layer" not in app.query_params
        assert "place" not in app.query_params
        assert app.session_state["photo"] == "cat"
        assert app.session_state["radius"] == 200
    preset(app, "Reset")
    assert "= 404" in formula(app)
    assert "layers" not in app.query_params


def test_a_layer_that_the_stack_lacks_is_said(visit_lesson):
    app = visit_lesson(NAME, layers="3s2x2", layer="7")
    assert "no layer 7" in " ".join(text.value for text in app.caption)
    app = visit_lesson(NAME, layers="3s2x2", layer="2")
    assert not app.caption


def test_the_link_chooses_stack_and_layer(visit_lesson):
    app = visit_lesson(NAME, layers="3-3d2-3d4", layer="2")
    assert "k′ + d(k − 1)s′ = 3 + 2·(3 − 1)·1 = 7, stride" in formula(app)
    assert "layer 3" not in app.code[0].value


def test_a_bad_link_falls_back_and_says_so(visit_lesson):
    app = visit_lesson(
        NAME, layers="3s99", layer="x", place="left", photo="dog", radius="1", view="all"
    )
    said = " ".join(warning.value for warning in app.warning)
    for name in ("layers", "layer", "place", "photo", "radius", "view"):
        assert name in said
    assert "= 404" in formula(app)


def test_a_place_outside_the_photo_is_said_until_another_is_chosen(visit_lesson):
    app = visit_lesson(NAME, place="5000,3")
    assert "5000,3 in the address lies outside this photo of 300×451" in captions(app)
    assert "the cross stands at 299,3" in captions(app)
    send(app, "photo_field", "place", {"y": 20, "x": 30})
    assert not captions(app)
    assert "outside" in captions(visit_lesson(NAME, place="0,451"))
    assert not captions(visit_lesson(NAME, place="299,450"))


def test_a_stack_that_does_not_fit_offers_what_would(visit_lesson):
    app = visit_lesson(NAME, layers="3s3x6", photo="cat")
    assert any("has no unit on this photo" in text.value for text in app.markdown)
    press(app, mends(app)[0])
    assert not any("has no unit" in text.value for text in app.markdown)
    assert "= 729" in formula(app) or "layer 6" in formula(app)


def test_the_prediction_comes_before_the_answer(visit_lesson):
    app = visit_lesson(NAME)
    press(app, "to network")
    assert not app.exception
    said = " ".join(text.value for text in app.markdown)
    assert "Yours holds" not in said
    app.slider(key="radius").set_value(100).run()
    press(app, "reveal influence")
    said = " ".join(text.value for text in app.markdown)
    shown = re.search(r"Yours holds \*\*(\d+) %\*\*.*within \*\*(\d+) px\*\*.* need (\d+) px", said)
    assert shown, said
    held, radius, even = map(int, shown.groups())
    assert held < 90
    assert 100 < radius < 0.75 * even
    assert "influence(network, photo, 160, 224, stride=32" in app.code[0].value
    press(app, "again influence")
    assert app.button(key="reveal influence")


def test_the_average_and_the_grey(visit_lesson):
    app = visit_lesson(NAME, view="network", radius="200", average="true", photo="astronaut")
    press(app, "reveal influence")
    assert any("comes from outside the box" in text.value for text in app.markdown)
    app.toggle(key="grey").set_value(True).run()
    assert not app.exception
    assert re.match(r"person \d+ % → person \d+ %: the label survives", app.success[0].value)
    app.slider(key="radius").set_value(5).run()
    assert "the label is lost" in app.info[0].value


def test_the_link_greys_once_the_answer_is_revealed_and_for_its_place_alone(visit_lesson):
    app = visit_lesson(NAME, view="network", radius="5", grey="true", place="100,100")
    assert not app.info, "nothing is run again before the circle is revealed"
    assert not any("again" in text.value for text in app.success)
    press(app, "reveal influence")
    assert "the label is lost" in app.info[0].value
    assert parameter(app, "grey") == "true"
    send(app, "photo_field", "place", {"y": 220, "x": 300})
    press(app, "reveal influence")
    assert not app.toggle(key="grey").value
    assert not app.info
    assert not parameter(app, "grey")
    # Back at the first place its answer is still there, without the grey.
    send(app, "photo_field", "place", {"y": 100, "x": 100})
    assert not app.toggle(key="grey").value


def test_another_photo_starts_whole(visit_lesson):
    app = visit_lesson(NAME, view="network")
    press(app, "reveal influence")
    app.segmented_control(key="photo").set_value("coffee").run()
    press(app, "reveal influence")
    app.toggle(key="grey").set_value(True).run()
    assert parameter(app, "grey") == "true"
    app.run()  # all of the page: the last run was that of its live part
    app.segmented_control(key="photo").set_value("cat").run()
    assert not app.toggle(key="grey").value


@pytest.mark.parametrize("photo", ["coffee", "rocket"])
def test_a_new_photo_is_a_new_question(visit_lesson, photo):
    app = visit_lesson(NAME, view="network")
    press(app, "reveal influence")
    app.segmented_control(key="photo").set_value(photo).run()
    assert not app.exception
    assert app.button(key="reveal influence")


def test_a_notice_goes_with_its_slider_inside_the_live_part(visit_lesson):
    app = visit_lesson("receptive_field", view="network", radius="abc")
    assert "radius" in app.warning[0].value
    app.slider(key="radius").set_value(201).run()
    assert not app.exception
    assert not app.warning
    assert app.slider(key="radius").value == 201
