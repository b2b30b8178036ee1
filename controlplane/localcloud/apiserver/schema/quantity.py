"""Quantities: reading, comparing and writing `500m`, `2Gi`, `1e3` in canonical form.

The server writes every quantity back canonically (`0.5` comes back as `500m`), and clients compare strings; so must we.
"""

import re
from decimal import Decimal
from functools import lru_cache

_PATTERN = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([KMGTPE]i)|([numkMGTPE]?)|[eE]([+-]?\d+))")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
FORMAT_MESSAGE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def parse_quantity(value: object) -> Decimal:
    """Give the exact number; ValueError where it is no quantity."""
    text = str(value).strip()
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(FORMAT_MESSAGE)
    number = Decimal(match[1])
    if match[2]:
        return number * (Decimal(1024) ** _BINARY[match[2]])
    return number * (Decimal(10) ** (int(match[4]) if match[4] else _DECIMAL[match[3] or ""]))


def is_quantity(value: object) -> bool:
    """Say whether it reads as a quantity."""
    return (
        isinstance(value, str | int | float)
        and not isinstance(value, bool)
        and bool(_PATTERN.fullmatch(str(value).strip()))
    )


@lru_cache(maxsize=4096)
def canonical(text: str) -> str:
    """Write a quantity as the server does: the largest suffix that leaves no fraction, in its own family."""
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise ValueError(FORMAT_MESSAGE)
    value = parse_quantity(text)
    if value == 0:
        return "0"
    if match[2] and abs(value) >= 1024 and value == int(value):
        return _binary(int(value))
    value = _rounded_up(value)
    return _exponent(value) if match[4] is not None else _decimal(value)


def _binary(value: int) -> str:
    suffix = ""
    for name in _BINARY:
        if value % 1024:
            break
        value //= 1024
        suffix = name
    return f"{value}{suffix}"


def _rounded_up(value: Decimal) -> Decimal:
    nano = value.scaleb(9)
    whole = nano.to_integral_value(rounding="ROUND_UP")
    return whole.scaleb(-9) if nano != whole else value


def _decimal(value: Decimal) -> str:
    for exponent in sorted(_SUFFIX, reverse=True):
        scaled = value.scaleb(-exponent)
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{_SUFFIX[exponent]}"
    return str(value)


def _exponent(value: Decimal) -> str:
    for exponent in range(18, -12, -3):
        scaled = value.scaleb(-exponent)
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}e{exponent}" if exponent else str(int(scaled))
    return str(value)
