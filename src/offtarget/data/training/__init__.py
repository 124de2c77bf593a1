"""Training data in any of the usual formats, as rows that keep their file, line and sha256."""

from __future__ import annotations

from offtarget.data.training.chunks import Chunk, Piece, Record
from offtarget.data.training.forms import FORMS
from offtarget.data.training.source import Source, open_source, read_rows

__all__ = ["FORMS", "Chunk", "Piece", "Record", "Source", "open_source", "read_rows"]
