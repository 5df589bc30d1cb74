import pytest

from explainer.bench.sections import SECTIONS, chosen


def test_sections_are_found_by_name_in_their_own_order():
    assert [section.name for section in chosen(["start", "forward"])] == ["forward", "start"]
    assert [section.name for section in chosen([])] == list(SECTIONS)
    with pytest.raises(ValueError, match="there is no section 'speed': choose among forward"):
        chosen(["forward", "speed"])


@pytest.mark.parametrize("name", list(SECTIONS))
def test_every_section_has_something_to_measure_with(name):
    from importlib import import_module

    assert callable(import_module(SECTIONS[name].module).measure)
