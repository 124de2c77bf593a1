"""Who has which row on the screen: two people never get the same new row, and nobody keeps one for long."""

from __future__ import annotations

import time
from pathlib import Path

from offtarget.audit.review.database import Database, text
from offtarget.records import Stream

SECONDS = 300.0
"""A row is another's again after this long without a label."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS served (
  row_id TEXT NOT NULL, reviewer TEXT NOT NULL, stream TEXT NOT NULL, until REAL NOT NULL,
  PRIMARY KEY (row_id, reviewer)
)
"""


class Leases:
    """Rows served to reviewers, with the stream each was served in; in the same file as the labels."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA)

    def claim(self, row_id: str, reviewer: str, stream: Stream, *, shared: bool = False) -> bool:
        """Reserve a row; False when another reviewer has it. `shared` rows may be with several at once."""
        now = time.time()
        with self._database.transaction() as connection:
            other = connection.execute(
                "SELECT 1 FROM served WHERE row_id = CAST(? AS TEXT) AND reviewer <> CAST(? AS TEXT) AND until > ?",
                (text(row_id), text(reviewer), now),
            ).fetchone()
            if other and not shared:
                return False
            until = 0.0 if shared else now + SECONDS
            connection.execute(
                "INSERT INTO served VALUES (CAST(? AS TEXT), CAST(? AS TEXT), ?, ?) ON CONFLICT (row_id, reviewer)"
                " DO UPDATE SET stream = excluded.stream, until = excluded.until",
                (text(row_id), text(reviewer), stream, until),
            )
        return True

    def taken(self, reviewer: str) -> set[str]:
        """Rows that other reviewers have on the screen now."""
        rows = self._database.read(
            "SELECT row_id FROM served WHERE reviewer <> CAST(? AS TEXT) AND until > ?", text(reviewer), time.time()
        )
        return {str(row[0]) for row in rows}

    def stream(self, row_id: str, reviewer: str) -> Stream | None:
        """The stream in which a row was served to a reviewer; None when it never was."""
        rows = self._database.read(
            "SELECT stream FROM served WHERE row_id = CAST(? AS TEXT) AND reviewer = CAST(? AS TEXT)",
            text(row_id),
            text(reviewer),
        )
        return rows[0][0] if rows else None  # type: ignore[return-value]

    def release(self, reviewer: str) -> None:
        """Give back all rows of a reviewer who leaves."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE served SET until = 0 WHERE reviewer = CAST(? AS TEXT)", (text(reviewer),))

    def close(self) -> None:
        """Close the file."""
        self._database.close()
