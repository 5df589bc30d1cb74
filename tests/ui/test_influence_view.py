"""What the page on receptive fields asks of the real network."""

import base64
import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from explainer.ui import influence_view
from explainer.ui.pictures import receptive_field as pictures

PLACE = (160, 224)


def test_opening_the_page_does_not_import_pytorch(root):
    code = "import sys, explainer.ui.influence_view; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_shares_by_radius():
    mass = np.zeros((5, 7))
    mass[2, 3], mass[2, 5], mass[0, 0] = 0.5, 0.3, 0.2
    shares = influence_view.by_radius(mass, 2, 3)
    assert shares[:5] == pytest.approx([0.5, 0.5, 0.8, 0.8, 1.0])


def test_the_heat_map_is_a_picture_of_the_photos_proportions():
    mass = np.zeros((30, 41))
    mass[8:12, 12:16] = 1 / 16
    source = influence_view.heat(mass)
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    picture = np.asarray(Image.open(io.BytesIO(data)))
    assert picture.shape == (8, 11, 4)
    assert np.argwhere(picture[..., 3] > 200).tolist() == [[2, 3]]
    assert picture[2, 3, :3].tolist() == [255, 234, 70]


def test_what_the_network_says():
    found = influence_view.measure("cat", *PLACE, False)
    assert found.answer.label == "cat"
    assert found.shares[-1] == pytest.approx(1)
    assert found.shares[found.radius - 1] < 0.9 <= found.shares[found.radius]
    assert found.uniform[found.even - 1] < 0.9 <= found.uniform[found.even]
    assert found.radius < 0.75 * found.even
    assert found.outside_box == 0
    assert influence_view.measure("cat", *PLACE, True).radius > found.radius


def test_the_average_reaches_past_the_box():
    corner = 32, 32
    assert influence_view.measure("astronaut", *corner, False).outside_box == 0
    assert influence_view.measure("astronaut", *corner, True).outside_box > 0.1


def test_the_label_without_what_is_outside_the_circle():
    whole, _ = influence_view.greyed("cat", *PLACE, 400)
    assert whole.label == influence_view.measure("cat", *PLACE, False).answer.label
    nothing, picture = influence_view.greyed("cat", *PLACE, 5)
    assert nothing.label != "cat"
    assert picture.startswith("data:image/jpeg")


def test_the_box_that_a_uniform_field_would_need():
    found = influence_view.measure("cat", *PLACE, False)
    box = pictures.network_box(*PLACE)
    height, width = influence_view.size("cat")
    rows = np.arange(max(0, box.top), min(height, box.top + box.height))
    columns = np.arange(max(0, box.left), min(width, box.left + box.width))
    away = np.hypot(rows[:, None] - PLACE[0], columns[None] - PLACE[1])
    assert found.even == pytest.approx(np.quantile(away, 0.9), abs=1.5)
