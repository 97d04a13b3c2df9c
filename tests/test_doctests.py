"""The examples in docstrings are true."""

import doctest
import pkgutil
from collections.abc import Iterator
from importlib import import_module

import pytest

import adapters
import api
import coldstart
import workers


def _modules() -> Iterator[str]:
    for package in (coldstart, adapters, workers, api):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if "migrations" not in module.name and not module.name.endswith("__main__"):
                yield module.name


@pytest.mark.parametrize("name", list(_modules()))
def test_the_examples_of(name: str) -> None:
    assert doctest.testmod(import_module(name)).failed == 0
