"""The registry finds formats by their files."""

from __future__ import annotations

import pytest

from offtarget.errors import InputError
from offtarget.pages.registry import format_names, formats, report_format


def test_every_file_names_itself():
    """Each module in pages/check/reports holds a format of its own name, with a file name of its own."""
    found = formats()
    assert set(found) == set(format_names()) >= {"html", "json", "markdown", "junit", "text"}
    assert len({f.filename for f in found.values()}) == len(found)


def test_unknown_format_is_an_input_error_that_lists_the_known_ones():
    with pytest.raises(InputError, match=r"pdf.*html.*json"):
        report_format("pdf")
