"""An agent of another environment that does one task and ends cleanly."""

from __future__ import annotations

import hiveloop


def main() -> None:
    """Do it."""
    hb = hiveloop.init(environment="development")
    with hb.agent("archiver").task("archive-1"):
        pass
    hiveloop.shutdown()


if __name__ == "__main__":
    main()
