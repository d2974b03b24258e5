"""The tree as it is keeps the laws of its layout."""

from collections.abc import Callable

import pytest

from tests.architecture import rules
from tests.lab import ROOT

LAWS = (
    rules.import_direction,
    rules.clocks_and_signals,
    rules.heavy_imports,
    rules.endings_and_prints,
    rules.sizes,
    rules.shapeless_names,
    rules.registry_addresses,
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_the_tree_keeps(law: Callable[[str], list[str]]) -> None:
    """No file of the tree breaks the law."""
    assert law(ROOT) == []


def test_the_laws_see_the_package() -> None:
    """The laws read the package's real modules: an empty list of breaches means something."""
    found = {module.path for module in rules.modules(ROOT)}
    assert {"__init__.py", "enclosure.py", "model/units.py"} <= found
