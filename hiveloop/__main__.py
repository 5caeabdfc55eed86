"""Run the command line: ``python -m hiveloop``."""

from __future__ import annotations

import sys

from hiveloop.cli import main

if __name__ == "__main__":
    sys.exit(main())
