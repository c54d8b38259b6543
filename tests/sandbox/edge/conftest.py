"""One process of the edge for the tests of a module: each test uses keys of its own."""

from collections.abc import Iterator

import pytest

from tests.sandbox.edge.edges import Edge


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    with Edge(tmp_path_factory.mktemp("edge")) as made:
        yield made
