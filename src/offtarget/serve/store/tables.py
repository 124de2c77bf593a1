"""The tables of a store, for SQLite and Postgres alike, as the list of steps that made them what they are."""

from __future__ import annotations

STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE offtarget_counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
        "INSERT INTO offtarget_counters (name, value) VALUES ('scored', 0), ('events', 0)",
        "CREATE TABLE offtarget_rollouts (alias TEXT PRIMARY KEY, number BIGINT NOT NULL, record TEXT NOT NULL)",
        "CREATE TABLE offtarget_events (number BIGINT PRIMARY KEY, alias TEXT NOT NULL, record TEXT NOT NULL)",
        "CREATE INDEX offtarget_events_alias ON offtarget_events (alias, number)",
        # `unit`: what has one score (alias, rollout, source, arm, conversation), in one column, since a planner without
        # statistics would take the index of the first two and read every row of the rollout
        "CREATE TABLE offtarget_scored (number BIGINT PRIMARY KEY, unit TEXT NOT NULL UNIQUE, alias TEXT NOT NULL, "
        "rollout BIGINT NOT NULL, at DOUBLE PRECISION NOT NULL, outcome TEXT NOT NULL, record TEXT NOT NULL)",
        "CREATE INDEX offtarget_scored_order ON offtarget_scored (alias, rollout, number)",
        "CREATE INDEX offtarget_scored_outcome ON offtarget_scored (alias, rollout, outcome, number)",
        "CREATE TABLE offtarget_bodies (exchange TEXT PRIMARY KEY, alias TEXT NOT NULL, rollout BIGINT NOT NULL, "
        "at DOUBLE PRECISION NOT NULL, api TEXT NOT NULL, streamed INTEGER NOT NULL, packed {bytes} NOT NULL)",
        "CREATE INDEX offtarget_bodies_at ON offtarget_bodies (at)",
        "CREATE TABLE offtarget_leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, fence BIGINT NOT NULL, "
        "era TEXT NOT NULL, until DOUBLE PRECISION NOT NULL, seconds DOUBLE PRECISION NOT NULL)",
        "CREATE TABLE offtarget_beats (name TEXT PRIMARY KEY, era TEXT NOT NULL, at DOUBLE PRECISION NOT NULL)",
        "CREATE TABLE offtarget_counts (alias TEXT NOT NULL, rollout BIGINT NOT NULL, what TEXT NOT NULL, "
        "value BIGINT NOT NULL, era TEXT NOT NULL, at DOUBLE PRECISION NOT NULL, PRIMARY KEY (alias, rollout, what))",
    ),
    ("CREATE TABLE offtarget_readings (alias TEXT PRIMARY KEY, record TEXT NOT NULL)",),
)
"""Each step is carried out once, in one transaction. Their number is the version. `{bytes}`: the type of bytes."""
