"""What all tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

# Examples are timed in wall-clock time: on a busy machine that says nothing about the code.
settings.register_profile("explainer", deadline=None)
settings.load_profile("explainer")


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return Path(__file__).resolve().parents[1]
