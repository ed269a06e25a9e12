"""Prose in which no number is torn from its sign, its unit or its interval by the end of a line."""

from __future__ import annotations

import re

_UNIT = "%|×|J|kJ|MJ|W|kW|kWh|g/kWh|mg|g|kg|ms|s|min|h|GB|points?|seeds?|runs?|epochs?"
_JOINED = (
    re.compile(r"(?<=%)( )(?=CI\b)"),
    re.compile(rf"(?<=\d)( )(?=(?:{_UNIT})(?![A-Za-z]))"),
    re.compile(r"(?<=\S)( )(?=(?:…|±|−|\+) ?[\d∞−+])"),
    re.compile(r"(?<=[…±])( )(?=[\d∞−+])"),
    re.compile(r"(?<= [−+])( )(?=\d)|(?<=\u00a0[−+])( )(?=\d)"),
    re.compile(r"(?<=\bn)( )(?==)|(?<=\bn =)( )(?=\d)|(?<=\bn\u00a0=)( )(?=\d)"),
)


def unbroken(text: str) -> str:
    """The text with no-break spaces inside quantities and intervals, such as "−1.5 … +0.6"."""
    for pattern in _JOINED:
        text = pattern.sub("\u00a0", text)
    return text
