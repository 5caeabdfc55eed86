"""Where events are kept and folded: one protocol, SQLite and PostgreSQL behind it."""
