"""The examples in the docstrings are right."""

import doctest
import importlib
import pkgutil

import pytest

from explainer import ops

MODULES = [module.name for module in pkgutil.iter_modules(ops.__path__, "explainer.ops.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    found = doctest.DocTestFinder().find(importlib.import_module("explainer.ops.unpooling"))
    assert sum(len(test.examples) for test in found) == 2
