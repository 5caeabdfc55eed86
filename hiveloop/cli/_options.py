"""Types of command line options whose messages say what would be right."""

from __future__ import annotations

import argparse
from collections.abc import Callable

__all__ = ["number", "whole_number"]


def number(least: float, most: float) -> Callable[[str], float]:
    """Return a type for `argparse`: a number between two others, both allowed."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} to {most:g}")
        return value

    return parse


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Return a type for `argparse`: a whole number between two others, both allowed."""

    def parse(text: str) -> int:
        value = int(text) if text.isdecimal() else least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return value

    return parse
