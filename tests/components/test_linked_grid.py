"""The scenes of the linked grid: what is checked, and what the browser is sent."""

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explainer.components.linked_grid import Grid, Links, Scene, Steps, payload
from explainer.components.linked_grid.scene import ROLE_LETTERS

DEMO = runpy.run_path(str(Path(__file__).parents[1] / "browser" / "apps" / "linked_grid_demo.py"))


def grid(name: str = "input", cells: int = 4, **more: Any) -> Grid:
    return Grid(name, more.pop("role", "input"), [str(i) for i in range(cells)], 2, **more)


def array(*numbers: float) -> Any:
    return np.array(numbers)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cells": 5}, "5 texts do not fill rows of 2 cells"),
        ({"marks": "pp"}, "4 cells and 2 marks"),
        ({"marks": "pppq"}, "not 'pppq'"),
        ({"values": [1.0]}, "4 cells and 1 marks or values"),
        ({"values": array(1.0, 2.0, 3.0)}, "4 cells and 3"),
        ({"values": [1.0, 2.0, 3.0, float("nan")]}, "not a finite number"),
        ({"tints": [0, 1, 2, 3, 4]}, "4 cells and 5"),
        ({"bright": [4]}, "4 cells, but not all of"),
        ({"changed": [-1]}, "4 cells, but not all of"),
    ],
)
def test_a_grid_must_fit_its_cells(wrong, words):
    with pytest.raises(ValueError, match=words):
        grid(**wrong)


def test_links_have_equal_lengths():
    with pytest.raises(ValueError, match="place in every list"):
        Links({"input": [0, 1], "output": [0]})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"links": [Links({"input": [0], "elsewhere": [0]})]}, "'elsewhere', which the scene"),
        ({"links": [Links({"input": [4]})]}, "a link leaves the grid 'input'"),
        ({"links": [Links({"input": [-2]})]}, "a link leaves the grid 'input'"),
        ({"terms": {"input": ["one"]}}, "do not fit its 4 cells"),
        ({"terms": {"elsewhere": ["one"]}}, "do not fit its None cells"),
        ({"steps": Steps("elsewhere", [0])}, "steps name the grid 'elsewhere'"),
        ({"steps": Steps("input", [4])}, "a step leaves the grid 'input'"),
        ({"steps": Steps("input", [0], {"input": [[(9, "1")]]})}, "a step leaves the grid"),
        ({"steps": Steps("input", [0], lights=[{"input": [4]}])}, "a step leaves the grid"),
        ({"views": ["one", "two"], "view": 2}, "view 2 is none of the 2"),
    ],
)
def test_a_scene_holds_what_it_names(more, words):
    with pytest.raises(ValueError, match=words):
        Scene(rows=[[grid()]], **more)


def test_grids_have_names_of_their_own():
    with pytest.raises(ValueError, match="name of its own"):
        Scene(rows=[[grid(), grid()]])


@pytest.mark.parametrize(
    "more",
    [
        {"writes": {"output": [[]]}},
        {"lights": [{}]},
        {"says": ["one"]},
    ],
)
def test_steps_are_told_for_every_cell(more):
    with pytest.raises(ValueError, match="2 steps, but"):
        Steps("input", [0, 1], **more)


def test_a_scene_finds_its_grids():
    scene = Scene(rows=[[grid("a"), "→", grid("b")], [grid("c")]])
    assert [one.name for one in scene.grids] == ["a", "b", "c"]
    assert scene.grid("b").rows == 2
    with pytest.raises(KeyError):
        scene.grid("d")


def test_the_payload_leaves_out_what_is_empty():
    scene = Scene(rows=[[grid(), "=", grid("y", role="output", title="output y")]])
    sent = payload(scene)
    assert sent["rows"][0][0] == {
        "name": "input",
        "role": "input",
        "texts": ["0", "1", "2", "3"],
        "columns": 2,
        "origin": [0, 0],
        "letter": "x",
    }
    assert sent["rows"][0][1] == "="
    assert sent["rows"][0][2]["title"] == "output y"
    assert sent["rows"][0][2]["letter"] == ROLE_LETTERS["output"]
    assert sent["steps"] is None


def test_long_numbers_have_a_short_form():
    texts = ["399920004", "−1234567", "123456", "−0.08333", "0.0001235", "retrieval"]
    made = Grid("y", "output", texts, 3)
    steps = Steps("y", [0], {"y": [[(0, "99960000"), (1, "7")]]})
    assert payload(Scene([[made]], steps=steps))["short"] == {
        "399920004": "4.0e8",
        "−1234567": "−1.2e6",
        "0.0001235": "1.2e−4",
        "99960000": "1.0e8",
    }


def test_numbers_of_numpy_become_json():
    scene = Scene(
        rows=[
            [
                grid(
                    values=np.arange(4.0),
                    ramp="positive",
                    tints=array(0, 1, -1, 2),
                    bright=array(1),
                    frame=(-1, 0, 2, 3),
                )
            ]
        ],
        links=[Links({"input": array(0, -1)})],
        steps=Steps(
            "input",
            array(0, 1),
            {"input": [[(array(0)[0], "a")], []]},
            lights=[{"input": array(2)}, {}],
        ),
    )
    sent = json.loads(json.dumps(payload(scene)))
    drawn = sent["rows"][0][0]
    assert drawn["values"] == [0, 1, 2, 3]
    assert drawn["tints"] == [0, 1, -1, 2]
    assert drawn["bright"] == [1]
    assert drawn["frame"] == [-1, 0, 2, 3]
    assert sent["links"] == [{"cells": {"input": [0, -1]}, "lines": False}]
    assert sent["steps"]["cells"] == [0, 1]
    assert sent["steps"]["writes"] == {"input": [[[0, "a"]], []]}
    assert sent["steps"]["lights"] == [{"input": [2]}, {}]


@pytest.mark.parametrize("name", [*DEMO["SCENES"], "conv", "frame"])
def test_every_scene_of_the_demo_becomes_json(name):
    scenes = {**DEMO["SCENES"], "conv": DEMO["conv_scene"], "frame": DEMO["frame_scene"]}
    scene = scenes[name]()
    sent = json.loads(json.dumps(payload(scene), allow_nan=False))
    assert [len(row) for row in sent["rows"]] == [len(row) for row in scene.rows]
