"""What is shown of Secrets: keys, and that they differ; never a value."""

from __future__ import annotations

from typing import Any

import pytest

from django_userpods.core.masking import MASK, masked, masked_difference
from django_userpods.core.shape import MISSING, Difference


def test_a_secrets_values_are_masked_and_its_keys_are_not() -> None:
    secret = {"kind": "Secret", "data": {"a": "eA=="}, "stringData": {"b": "x"}, "type": "Opaque"}
    assert masked(secret) == {
        "kind": "Secret",
        "data": {"a": MASK},
        "stringData": {"b": MASK},
        "type": "Opaque",
    }
    assert secret["data"] == {"a": "eA=="}
    config = {"kind": "ConfigMap", "data": {"a": "x"}}
    assert masked(config) == config


@pytest.mark.parametrize(
    ("path", "value", "shown"),
    [
        (".data.password", "c2VjcmV0", MASK),
        (".data", {"password": "c2VjcmV0"}, {"password": MASK}),
        (".stringData.password", "secret", MASK),
        (".data.password", MISSING, MISSING),
        (".data", None, None),
        (".metadata.labels.app", "shop", "shop"),
    ],
)
def test_of_a_difference_in_a_secret_the_place_alone_is_told(
    path: str, value: Any, shown: Any
) -> None:
    difference = Difference(path, value, value)
    assert masked_difference(difference, "Secret") == Difference(path, shown, shown)
    assert masked_difference(difference, "ConfigMap") == difference
