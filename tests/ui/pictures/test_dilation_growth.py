"""The drawing of weights against field."""

from xml.etree import ElementTree

import pytest

from explainer.ui.pictures.dilation import growth
from explainer.ui.pictures.dilation_growth import chart, ticks


@pytest.mark.parametrize(
    ("most", "expected"), [(3, [0, 1, 2, 3]), (54, [0, 20, 40]), (127, [0, 50, 100]), (1, [0, 1])]
)
def test_ticks_are_few_and_round(most, expected):
    assert ticks(most) == expected


@pytest.mark.parametrize(("stack", "taps"), [((1, 2, 4), 3), ((16,) * 8, 5), ((1,), 2)])
def test_every_line_has_a_point_for_each_layer_to_scale(stack, taps):
    drawing = ElementTree.fromstring(chart(stack, taps))
    lines = {
        line.attrib["data-line"]: [
            tuple(map(float, point.split(","))) for point in line.attrib["points"].split()
        ]
        for line in drawing.iter("polyline")
    }
    expected = growth(stack, taps)
    assert lines.keys() == expected.keys()
    drawn = [
        (place, value)
        for name in lines
        for place, value in zip(lines[name], zip(*expected[name], strict=True), strict=True)
    ]
    # Straight scales: what lies where gives one factor and one offset along each axis.
    for axis, sign in ((0, 1), (1, -1)):
        places = [place[axis] for place, _ in drawn]
        values = [value[axis] for _, value in drawn]
        factor = (max(places) - min(places)) / (max(values) - min(values))
        start = places[0] - sign * factor * values[0]
        for place, value in zip(places, values, strict=True):
            assert place == pytest.approx(start + sign * factor * value, abs=0.2)


def test_it_is_said_in_words_too():
    said = ElementTree.fromstring(chart((2, 2, 2), 3)).attrib["aria-label"]
    assert "this stack: 27 weights see 13 cells" in said
    assert "1, 2, 4, 8 …: 54 weights see 127 cells" in said
