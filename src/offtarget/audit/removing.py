"""Which pieces of a data set go, with the bookkeeping that nothing goes unrecorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import IO

from offtarget.audit.ledger import Removal
from offtarget.data.training import Chunk, Piece
from offtarget.errors import InputError
from offtarget.records import BadRow, Row


class Choice:
    """Decides row by row; counts, and writes every removal to the ledger."""

    def __init__(self, removals: Mapping[str, Removal], drop_malformed: bool) -> None:
        self._removals, self._drop_malformed = removals, drop_malformed
        self._met = 0
        self.kept = 0
        self.removed = 0
        self.report: IO[str]

    def keeps(self, chunk: Chunk, piece: Piece) -> bool:
        """Whether a piece is written; the parts of one record go or stay together."""
        if piece.kind == "filler":
            return True
        row_id = f"{chunk.file}:{piece.line}"
        if piece.kind == "part":  # only records too long to be read come in parts, so this one is malformed
            return not (row_id in self._removals or self._drop_malformed)
        removal = self._removals.get(row_id)
        if removal is None and not self._drop_malformed:
            self.kept += 1
            return True
        return self.keeps_row(chunk.read(piece.line, chunk.body(piece.raw)))

    def keeps_row(self, row: Row | BadRow) -> bool:
        """Whether a row is written. Raises InputError when it is not the row that was judged."""
        removal = self._removals.get(row.id)
        if removal is not None:
            self._met += 1
            if removal.sha256 != row.sha256:
                raise InputError(
                    f"{row.id} has other bytes than the row that was to be removed: the data changed since its audit. "
                    "Audit it again."
                )
        elif self._drop_malformed and isinstance(row, BadRow):
            detail = f"{row.error}: {row.detail}"
            removal = Removal(row.id, row.file, row.line, row.sha256, "malformed", detail, "reader")
        else:
            self.kept += 1
            return True
        self.removed += 1
        self.report.write(json.dumps(asdict(removal)) + "\n")
        return False

    def wants(self, row_id: str) -> bool:
        """Whether a row has to be looked at before it can be kept."""
        return self._drop_malformed or row_id in self._removals

    def refuse_unknown(self, name: str) -> None:
        """InputError when a removal named no row that was met."""
        if self._met != len(self._removals):
            raise InputError(
                f"{len(self._removals) - self._met} of {len(self._removals)} rows to be removed are not in {name}, "
                f"among the first of all: {next(iter(self._removals))}. Nothing was written. Is this the audited file?"
            )
