"""What the arguments of our commands may say; else argparse tells why not."""

from __future__ import annotations

import argparse

from django.utils.translation import gettext

from django_userpods.core import naming


def seconds(text: str) -> float:
    """Return the seconds that an argument says; refuse all but a number above 0."""
    value = _number(text)
    if not 0 < value < float("inf"):
        message = gettext("%(text)r is not a number of seconds above 0") % {"text": text}
        raise argparse.ArgumentTypeError(message)
    return value


def seconds_or_0(text: str) -> float:
    """Return the seconds that an argument says; refuse all but a number from 0."""
    value = _number(text)
    if not 0 <= value < float("inf"):
        message = gettext("%(text)r is not a number of seconds") % {"text": text}
        raise argparse.ArgumentTypeError(message)
    return value


def namespace(text: str) -> str:
    """Return an argument that can be the name of a namespace; refuse any other."""
    if not naming.is_valid_label(text):
        message = gettext("%(text)r is not a valid namespace name (a-z, 0-9 and '-')")
        message %= {"text": text}
        raise argparse.ArgumentTypeError(message)
    return text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0
