"""Makers of test data."""

from __future__ import annotations

from typing import Any

import factory
from django.contrib.auth import get_user_model


class UserFactory(factory.django.DjangoModelFactory):
    """A user of whatever model the project has; ``username`` is its username field."""

    class Meta:
        model = get_user_model()
        skip_postgeneration_save = True

    username = factory.Sequence(lambda number: f"user{number}")
    password = "unusable"

    @classmethod
    def _adjust_kwargs(cls, **kwargs: Any) -> dict[str, Any]:
        model: Any = get_user_model()
        kwargs[model.USERNAME_FIELD] = kwargs.pop("username")
        return kwargs
