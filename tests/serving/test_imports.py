"""The supervisor runs in the environment of whatever it serves, which may hold nothing but that."""

import sys

import grimp
import pytest


@pytest.mark.parametrize("room", ["core", "serving"])
def test_a_room_that_serves_imports_the_standard_library_only(room):
    graph = grimp.build_graph("searchtrain", include_external_packages=True, cache_dir=None)
    package = f"searchtrain.{room}"
    imported = {
        name.split(".")[0]
        for module in {package, *graph.find_descendants(package)}
        for name in graph.find_modules_directly_imported_by(module)
    }
    assert imported - sys.stdlib_module_names == {"searchtrain"}
