"""Amounts of money as whole cents: reading, showing, and splitting them."""

import re

_AMOUNT = re.compile(r"(-?)(\d+)(?:\.(\d{2}))?")


def parse(text):
    """Cents of an amount such as `12`, `12.30` or `-0.05`."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"not an amount: {text!r}")
    sign, units, cents = match.groups()
    value = int(units) * 100 + int(cents or 0)
    return -value if sign else value


def show(cents):
    """An amount for people: `12.30`."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"


def percent(cents, rate):
    """`rate` percent of an amount, rounded half up to the cent."""
    return (cents * rate * 2 + 100) // 200


def allocate(total, weights):
    """Parts of `total`, in proportion to `weights`."""
    whole = sum(weights)
    if whole <= 0:
        raise ValueError("weights must add up to more than nothing")
    return [total * weight // whole for weight in weights]
