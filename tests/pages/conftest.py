"""What tests of the pages share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import headless


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium that logs what it prints and what it requests."""
    driver = headless()
    yield driver
    driver.quit()
