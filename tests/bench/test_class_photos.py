import asyncio
import dataclasses
from itertools import combinations

import numpy as np
import pytest

from explainer.bench.class_photos import (
    AGREEMENT,
    Answer,
    Expected,
    agreement,
    expected,
    judge,
    photo,
    photo_id,
    read_payload,
    upload_rounds,
)
from explainer.bench.server import serving
from explainer.components.segment_viewer import payload
from explainer.fcn.geometry import Lattice
from explainer.fcn.result import Run, ScoreMap, Segmentation
from explainer.fcn.voc import CLASSES

SHAPE = (60, 90)


def labels(seed: int) -> dict[int, np.ndarray]:
    """Label maps of three outputs, as blocks of one label."""
    rng = np.random.default_rng(seed)
    small = {stride: rng.integers(0, 21, (6, 9), dtype=np.uint8) for stride in (32, 16, 8)}
    return {stride: values.repeat(10, 0).repeat(10, 1) for stride, values in small.items()}


def result(seed: int) -> Segmentation:
    rng = np.random.default_rng(seed)
    cells = {32: (3, 4), 16: (5, 7), 8: (9, 13)}
    scores = {
        stride: ScoreMap(rng.standard_normal((21, *size)).astype(np.float32), Lattice(stride))
        for stride, size in cells.items()
    }
    return Segmentation(*SHAPE, CLASSES, scores, labels(seed))


@pytest.fixture
def photos() -> list[Expected]:
    return [Expected(f"{n}.jpg", b"", f"90x60-{n:08x}", labels(n), 0.1) for n in range(4)]


@pytest.fixture
def answers(photos) -> list[Answer]:
    return [Answer(photo.id, photo.labels, 0.2) for photo in photos]


def test_the_viewers_block_is_read_back():
    pixels = np.random.default_rng(5).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    found, maps = read_payload(payload(Run.single(result(5)), pixels))
    assert found == photo_id(pixels)
    assert maps.keys() == {32, 16, 8}
    for stride, whole in labels(5).items():
        np.testing.assert_array_equal(maps[stride], whole)


def test_photos_can_be_told_apart():
    files = [photo(seed) for seed in range(6)]
    assert files[0] == photo(0)
    assert all(one != other for one, other in combinations(files, 2))


def test_all_is_well(photos, answers):
    assert judge(photos, answers).good


def test_another_visitors_photo_is_found(photos, answers):
    answers[1], answers[2] = answers[2], answers[1]
    verdict = judge(photos, answers)
    assert verdict.mixed == (1, 2)
    assert not verdict.good


def test_another_visitors_labels_under_the_own_photo_are_found(photos, answers):
    # What an engine would do that gives the results of a batch back in a wrong order.
    answers[3] = dataclasses.replace(answers[3], labels=photos[0].labels)
    assert judge(photos, answers).mixed == (3,)


def test_labels_that_are_nobodys_are_found(photos, answers):
    broken = {stride: values.copy() for stride, values in photos[0].labels.items()}
    broken[16][:10] += 1
    answers[0] = dataclasses.replace(answers[0], labels=broken)
    assert judge(photos, answers).wrong == (0,)


def test_a_few_pixels_at_outlines_may_differ(photos, answers):
    near = {stride: values.copy() for stride, values in photos[0].labels.items()}
    near[8].flat[: int(near[8].size * (1 - AGREEMENT))] += 1
    assert 0 < 1 - agreement(near, photos[0].labels) <= 1 - AGREEMENT
    answers[0] = dataclasses.replace(answers[0], labels=near)
    assert judge(photos, answers).good


def test_no_answer_is_lost_unless_the_page_says_why(photos, answers):
    answers[0] = Answer(None, {}, 9.0)
    answers[1] = Answer("451x300-0f829d59", {}, 9.0)  # still the photo before
    answers[2] = Answer(None, {}, 9.0, ("Busy, 40 before you.",))
    verdict = judge(photos, answers)
    assert verdict.lost == (0, 1)
    assert verdict.refused == (2,)


def test_agreement_needs_the_same_size():
    one = labels(0)
    assert agreement(one, one) == 1
    assert agreement(one, {stride: values.T for stride, values in one.items()}) == 0
    assert agreement(one, {8: one[8]}) == 0
    assert agreement({}, {}) == 0


@pytest.mark.slow
def test_visitors_of_the_app_get_their_own_photos_back():
    photos = expected("cpu", range(2))
    # What is handed in there is not what is expected back.
    others = [dataclasses.replace(own, data=photo(9 - n)) for n, own in enumerate(photos)]
    with serving(environment={"EXPLAINER_DEVICE": "cpu"}) as server:
        server.wait()
        row, crossed = asyncio.run(upload_rounds(server.port, server.pid, [photos, others]))
    assert (row.visitors, row.refused, row.lost, row.mixed, row.wrong) == (2, 0, 0, 0, 0)
    assert row.per_second == pytest.approx(row.ratio * row.alone)
    assert crossed.lost == 2
