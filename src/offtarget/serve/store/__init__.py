"""What a gateway remembers, and where: SQLite for one, Postgres for several that share it."""
