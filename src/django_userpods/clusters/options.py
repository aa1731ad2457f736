"""The checks of options that ``kubernetes`` takes from ``USERPODS_CLUSTER``."""

from __future__ import annotations

import os

from django_userpods.exceptions import ClusterConfigurationError

#: Seconds, and calls a second: nobody means more, and a typo is found.
_MOST = 86_400


def check_text(**options: object) -> None:
    """Raise ClusterConfigurationError for what is not a non-empty string or path, or None."""
    for name, value in options.items():
        if value is not None and not (isinstance(value, str | os.PathLike) and os.fspath(value)):
            raise ClusterConfigurationError(f"{name} must be a non-empty string, not {value!r}")


def check_number(*, zero: bool = False, **options: object) -> None:
    """Raise ClusterConfigurationError for what is no number above 0, or 0 if that is allowed."""
    for name, value in options.items():
        good = isinstance(value, int | float) and not isinstance(value, bool)
        if not good or not (0 < float(str(value)) <= _MOST or (zero and value == 0)):
            least = "0 or more" if zero else "more than 0"
            raise ClusterConfigurationError(f"{name} must be a number, {least}, not {value!r}")


def check_count(**options: object) -> None:
    """Raise ClusterConfigurationError for what is no whole number from 1."""
    for name, value in options.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ClusterConfigurationError(f"{name} must be a whole number from 1, not {value!r}")


def check_flag(**options: object) -> None:
    """Raise ClusterConfigurationError for what is neither True nor False."""
    for name, value in options.items():
        if not isinstance(value, bool):
            raise ClusterConfigurationError(f"{name} must be True or False, not {value!r}")
