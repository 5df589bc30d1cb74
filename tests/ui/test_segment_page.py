"""The first page, run without a browser (its pictures are tested in tests/browser)."""

import io

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from explainer.fcn.result import Run
from explainer.fcn.weights import WeightsError
from explainer.ui import engine, photo_source, samples
from explainer.ui.segment_page import prepare, timing_line
from explainer.ui.segment_views import VIEWS
from explainer.ui.visit import KEPT, Encoded, Shown, Visit


def line(app: AppTest) -> str:
    """The line under the picture."""
    return next(text.value for text in app.caption if "segmented at" in text.value)


def upload(app: AppTest, name: str, data: bytes, kind: str = "image/jpeg") -> AppTest:
    app.file_uploader[0].upload(name, data, kind).run()
    assert not app.exception
    return app


def jpeg(width: int = 120, height: int = 80) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    return buffer.getvalue()


def state(app: AppTest) -> Visit:
    return app.session_state["visit"]


def chosen(app: AppTest) -> Encoded:
    photo = state(app).chosen
    assert photo is not None
    return photo


def test_the_first_visit_shows_the_cat_without_any_action(visit_page):
    app = visit_page()
    assert app.title[0].value == "Segment a photo"
    assert "chelsea" in line(app)
    assert "Nothing found" not in line(app)
    assert "segmented at 451×300 on " in line(app)
    assert not app.error
    assert not app.warning
    assert "photo" not in app.query_params


def test_a_link_opens_a_sample(visit_page):
    app = visit_page(photo="rocket")
    assert "rocket" in line(app)
    # The network knows no rockets, and the page says so instead of naming specks.
    assert "Nothing found" in line(app)
    assert "finds" not in " ".join(text.value for text in app.markdown)
    assert chosen(app).sample == "rocket"
    assert app.query_params["photo"] == "rocket"


def test_an_unknown_name_in_a_link_falls_back_with_a_notice(visit_page):
    app = visit_page(photo="[dog](http://example.org)")
    assert "chelsea" in line(app)
    assert "does not exist" in app.warning[0].value
    assert "example" not in app.warning[0].value
    assert "photo" not in app.query_params
    app.button(key="sample_coffee").click().run()
    assert not app.warning


@pytest.mark.parametrize(
    ("key", "name", "other"),
    [("side", "longest side", 384), ("view", "view", "In code")],
)
def test_a_size_or_view_that_a_link_makes_up_is_noticed_until_it_is_changed(
    visit_page, key, name, other
):
    app = visit_page(**{key: "<b>9999"})
    assert f"a {name} that does not exist" in app.warning[0].value
    assert "9999" not in app.warning[0].value
    app.button(key="sample_coffee").click().run()
    assert app.warning, "another control leaves it"
    app.segmented_control(key=key).set_value(other).run()
    assert not app.warning


@pytest.mark.parametrize(("key", "value"), [("side", "384"), ("view", "In code")])
def test_a_size_or_view_in_a_link_is_taken(visit_page, key, value):
    app = visit_page(**{key: value})
    assert str(app.segmented_control(key=key).value) == value
    assert not app.warning


def test_a_sample_goes_into_the_address(visit_page):
    app = visit_page()
    app.button(key="sample_astronaut").click().run()
    assert not app.exception
    assert "astronaut" in line(app)
    assert app.query_params["photo"] == "astronaut"


def test_an_upload_takes_the_place_of_the_sample(visit_page):
    app = upload(visit_page(photo="coffee"), "my_cat.jpg", jpeg())
    assert r"my\_cat\.jpg" in line(app)
    assert "segmented at 120×80 on " in line(app)
    assert "photo" not in app.query_params
    assert app.file_uploader[0].value is None, "the widget keeps no copy"
    app.run()
    assert r"my\_cat\.jpg" in line(app), "it stays when the script runs again"


def test_the_same_bytes_under_another_name_have_that_name(visit_page):
    app = upload(visit_page(), "one", jpeg())
    upload(app, "two", jpeg())
    assert "**two**" in line(app)
    assert "**one**" not in line(app)
    shown = state(app).shown
    assert shown is not None
    assert shown.photo.encoded.name == "two"


def test_what_was_wrong_with_a_file_goes_with_the_next_action(visit_page):
    app = upload(visit_page(), "bad.jpg", b"no photo")
    assert app.error
    app.segmented_control(key=photo_source.SIDE).set_value(384).run()
    assert not app.error


def test_the_sample_on_the_screen_is_marked(visit_page):
    def marked(app: AppTest) -> list[str]:
        buttons = {name: app.button(key=f"sample_{name}") for name in samples.SAMPLES}
        return [name for name, button in buttons.items() if button.proto.type == "primary"]

    app = visit_page(photo="coffee")
    assert marked(app) == ["coffee"]
    upload(app, "bad.jpg", b"no photo")
    assert marked(app) == ["coffee"]
    upload(app, "my_cat.jpg", jpeg())
    assert marked(app) == []


def test_a_bad_file_is_explained_and_the_last_result_stays(visit_page):
    app = visit_page(photo="coffee")
    before = line(app)
    upload(app, "notes.jpg", b"<html>not a photo</html>")
    assert len(app.error) == 1
    assert "web page" in app.error[0].value
    assert "coffee" in line(app)
    assert before.split(": decode")[0] in line(app)
    assert app.query_params["photo"] == "coffee"
    upload(app, "good.jpg", jpeg())
    assert not app.error
    assert "good" in line(app)


def test_the_longest_side_is_an_option_and_part_of_the_link(visit_page):
    app = visit_page(side="384")
    assert "segmented at 384×255 on " in line(app)
    app.button_group(key="side").set_value([768]).run()
    assert "segmented at 451×300 on " in line(app), "never enlarged"


def test_a_session_remembers_the_last_results_only(visit_page):
    app = visit_page()
    for name in ("coffee", "rocket"):
        app.button(key=f"sample_{name}").click().run()
    assert len(state(app).results) == KEPT
    shown = state(app).shown
    app.run()
    assert state(app).shown is shown


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_by_link(visit_page, view):
    app = visit_page(photo="cat", view=view)
    assert app.button_group(key="view").value == view
    assert not app.error


def test_what_changed_is_said_in_words(visit_page):
    text = " ".join(element.value for element in visit_page().markdown)
    assert "another class than FCN-32s does" in text
    assert "FCN-32s computes scores at 16×11 places only" in text


def test_the_network_is_named_with_its_figures_and_its_card(visit_page):
    app = visit_page(view="The network")
    assert "mean IU FCN-32s 0." in app.caption[-1].value
    card = " ".join(element.value for element in app.markdown)
    assert "mean IU" in card
    assert "PASCAL VOC" in card


def test_visitors_share_the_network_and_nothing_else(visit_page):
    one, other = visit_page(), visit_page()
    upload(one, "secret.jpg", jpeg(64, 48))
    other.run()
    assert "secret" in line(one)
    assert "secret" not in line(other)
    assert state(one) is not state(other)
    digest = chosen(one).digest
    assert digest not in {key for key, *_ in state(other).results}


def test_where_browsers_refuse_the_camera_the_page_says_so(visit_page, monkeypatch):
    app = visit_page()
    app.session_state["camera"] = True
    app.run()
    assert not app.info, "AppTest has no address, so the camera is offered"
    monkeypatch.setattr(photo_source, "camera_allowed", lambda url: False)
    app.run()
    assert "HTTPS" in app.info[0].value
    assert "upload the file" in app.info[0].value


def test_unusable_weights_are_explained_and_tried_again(visit_page, monkeypatch):
    from explainer.fcn.segmenter import Segmenter

    monkeypatch.setattr(engine, "_started", None)
    with monkeypatch.context() as patch:
        patch.setattr(
            Segmenter, "load", lambda *_, **__: (_ for _ in ()).throw(WeightsError("no weights"))
        )
        app = visit_page()
        assert app.error[0].value == "no weights"
    app.run()
    assert not app.error
    assert "chelsea" in line(app)


def test_prepare_shrinks_and_remembers_the_photos_own_size():
    photo = prepare(Encoded("wide.jpg", jpeg(1000, 500)), 384)
    assert photo.pixels.shape == (192, 384, 3)
    assert photo.full_size == (500, 1000)
    assert photo.seconds > 0


def test_the_line_says_where_and_how_long():
    class Result:
        width, height, device = 768, 576, "cpu"
        timings = {"forward": 0.03, "labels": 0.008}  # noqa: RUF012

    photo = prepare(Encoded("a.jpg", jpeg()), 768)
    object.__setattr__(photo, "seconds", 0.041)
    run = Run("", "", {8: Result()})  # pyright: ignore
    assert timing_line(Shown(photo, run), 0.012) == (
        "segmented at 768×576 on cpu: decode 41 ms · forward 38 ms · draw 12 ms"
    )
    assert timing_line(Shown(photo, run, remembered=True), 0.012) == (
        "segmented at 768×576 on cpu: decode 41 ms · forward 38 ms, remembered · draw 12 ms"
    )


def test_only_an_answer_of_an_earlier_pass_is_said_to_be_remembered(visit_page, monkeypatch):
    """The photo is queued before the page is drawn: computed by then, it is not an earlier one."""

    def finished(pixels):
        begin(pixels)
        engine.segment(pixels)

    begin = engine.begin
    engine.shared()
    monkeypatch.setattr(engine, "begin", finished)
    photo = jpeg(203, 177)  # no other test's
    first, second = (line(upload(visit_page(), "a.jpg", photo)) for _ in range(2))
    assert "remembered" not in first
    assert "ms, remembered · draw" in second


@pytest.mark.parametrize("name", samples.SAMPLES)
def test_samples_come_inside_the_package(name):
    assert Image.open(io.BytesIO(samples.read(name))).size > (100, 100)
    thumbnail = samples.thumbnail(name)
    assert thumbnail.startswith("data:image/jpeg;base64,")
    assert len(thumbnail) < 10_000
