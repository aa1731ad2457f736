"""Quantities are the same however they are written."""

from __future__ import annotations

import pytest

from django_userpods.core import quantity


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1000m", "1"),
        (1, "1"),
        (0.5, "500m"),
        ("1Gi", "1024Mi"),
        ("1.5Gi", "1536Mi"),
        ("1e3", "1k"),
        ("1E3", "1000"),
        ("1E", "1e18"),
        ("0.1", "100m"),
        ("0", "0m"),
        (".5", "500m"),
        ("5.", "5"),
        ("+1", "1"),
        ("1000u", "1m"),
        ("1000n", "1u"),
        ("100M", "0.1G"),
        ("1Ti", "1024Gi"),
        ("1Pi", "1024Ti"),
        ("1Ei", "1024Pi"),
        ("1Mi", "1024Ki"),
        ("1T", "1000G"),
        ("1P", "1000T"),
        ("-1", "-1000m"),
    ],
)
def test_one_quantity_spelt_twice_is_the_same(one: object, other: object) -> None:
    assert quantity.same(one, other)
    assert quantity.same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "2"),
        ("1G", "1Gi"),
        ("1m", "1M"),
        ("1", "one"),
        ("one", "two"),
        ("", "0"),
        ("1 Gi", "1Gi"),
        ("1", None),
        ("1", ["1"]),
        ("1mi", "1Mi"),
        ("1K", "1k"),
        ("nan", "nan2"),
        ("1\n", "1"),
    ],
)
def test_two_quantities_are_not_the_same(one: object, other: object) -> None:
    assert not quantity.same(one, other)


@pytest.mark.parametrize("text", ["", "abc", "1.2.3", "1e", "--1", "1Zi", "1e5m", "infinity"])
def test_what_is_no_quantity_is_not_read_as_one(text: str) -> None:
    assert quantity.parse(text) is None
