"""The documentation keeps its word: its code runs, its links lead somewhere, its tables are complete."""
