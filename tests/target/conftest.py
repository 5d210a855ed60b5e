from collections.abc import Iterator

import pytest

from autoresearch_rl.target.command import Command


@pytest.fixture
def target() -> Iterator[Command]:
    target = Command()
    yield target
    target.close()
