"""Unit tests of code that asks for the user: `signed_in` answers, without middleware or pool."""

import asyncio

import pytest

from amplify_mw import (
    ForbiddenException,
    OutsideRequestError,
    aio,
    fetch_user_attributes,
    get_current_user,
    require_auth,
)
from amplify_mw.testing import signed_in

# --- the code to be tested; it takes no user as an argument


def discount() -> int:
    return 10 if fetch_user_attributes().get("custom:plan") == "gold" else 0


@require_auth(groups=["editors"])
def publish(title: str) -> str:
    return f"{title}, by {get_current_user().username}"


async def greeting() -> str:
    attributes = await aio.fetch_user_attributes()
    return f"Hello, {attributes['name']}"


# --- its tests


def test_a_gold_customer_has_a_discount() -> None:
    with signed_in("ada", attributes={"custom:plan": "gold"}):
        assert discount() == 10


def test_another_customer_has_none() -> None:
    with signed_in("bob"):
        assert discount() == 0


def test_an_editor_publishes() -> None:
    with signed_in("ada", groups=["editors"]):
        assert publish("Notes") == "Notes, by ada"


def test_a_reader_does_not() -> None:
    with signed_in("bob", groups=["readers"]), pytest.raises(ForbiddenException):
        publish("Notes")


def test_async_code_is_tested_alike() -> None:
    with signed_in("ada", name="Ada"):
        assert asyncio.run(greeting()) == "Hello, Ada"


def test_afterwards_nobody_is_signed_in() -> None:
    with signed_in("ada"):
        pass
    with pytest.raises(OutsideRequestError):
        get_current_user()
