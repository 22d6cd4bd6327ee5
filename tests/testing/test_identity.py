"""`signed_in`: a user for unit tests."""

import time
from contextvars import copy_context
from datetime import timedelta
from typing import Any

import pytest

from amplify_mw import (
    NotAuthorizedException,
    OutsideRequestError,
    StepUpRequiredException,
    fetch_auth_session,
    get_claim,
    get_current_user,
    require_auth,
)
from amplify_mw.testing import signed_in, signed_out


def test_the_binding_ends_with_the_block() -> None:
    with signed_in("ada"):
        get_current_user()
    with pytest.raises(OutsideRequestError):
        get_current_user()


def test_the_binding_ends_with_an_error_too() -> None:
    with pytest.raises(LookupError), signed_in("ada"):
        raise LookupError
    with pytest.raises(OutsideRequestError):
        get_current_user()


def test_blocks_nest() -> None:
    with signed_in("ada"):
        with signed_in("grace"):
            assert get_current_user().username == "grace"
        assert get_current_user().username == "ada"


def test_a_name_has_one_user_id_unless_told() -> None:
    with signed_in("ada") as one, signed_in("ada") as other, signed_in("ada", sub="s") as told:
        assert one == other
        assert told.user_id == "s"


def test_the_session_has_tokens_of_cognitos_shape() -> None:
    with signed_in("ada", groups=["editors"], email="ada@example.com") as ada:
        assert ada.groups == get_current_user().groups == ("editors",)
        tokens = fetch_auth_session().tokens
    assert tokens is not None
    assert tokens.id_token is not None
    assert tokens.access_token is not None
    assert tokens.id_token.payload["email"] == "ada@example.com"
    assert tokens.access_token.payload["cognito:groups"] == ["editors"]


def test_nobody_can_be_signed_in_too() -> None:
    with signed_in("ada"), signed_out(), pytest.raises(NotAuthorizedException):
        get_current_user()


def test_it_decorates_a_test_as_well() -> None:
    @signed_in("ada")
    def test() -> str:
        return get_current_user().username

    assert test() == "ada"


@pytest.mark.parametrize("name", ["groups", "scopes"])
def test_one_text_is_no_list(name: str) -> None:
    options: Any = {name: "editors"}
    with (
        pytest.raises(TypeError, match=rf"write {name}=\['editors'\]"),
        signed_in("ada", **options),
    ):
        pass


@pytest.mark.parametrize("value", [True, 5, None, b"a"])
def test_an_attribute_that_is_no_text_is_named(value: Any) -> None:
    with pytest.raises(TypeError, match="'email_verified' is text"):  # noqa: SIM117
        with signed_in("ada", email_verified=value):
            pass


def test_a_block_may_end_in_another_context() -> None:
    block = signed_in("ada")
    copy_context().run(block.__enter__)
    block.__exit__(None, None, None)
    with pytest.raises(OutsideRequestError):
        get_current_user()


class TestHowAndWhen:
    """`acr` and `auth_time`, for the guards that ask for a fresh or a strong sign-in."""

    @staticmethod
    @require_auth(fresh=600)
    def fresh() -> str:
        return "fresh"

    @staticmethod
    @require_auth(acr="urn:mfa")
    def strong() -> str:
        return "strong"

    def test_a_user_has_signed_in_just_now(self) -> None:
        with signed_in("ada"):
            assert self.fresh() == "fresh"

    def test_a_sign_in_may_be_long_ago(self) -> None:
        with signed_in("ada", auth_time=time.time() - 3600), pytest.raises(StepUpRequiredException):
            self.fresh()

    def test_a_sign_in_may_be_strong(self) -> None:
        with signed_in("ada", acr="urn:mfa"):
            assert (self.strong(), get_claim("acr")) == ("strong", "urn:mfa")
        with signed_in("ada"), pytest.raises(StepUpRequiredException):
            self.strong()

    def test_they_are_in_both_tokens(self) -> None:
        with signed_in("ada", auth_time=1_700_000_000.9, acr="urn:mfa", claims={"tenant": "a1"}):
            for token_use in ("id", "access"):
                names = ("auth_time", "acr", "tenant")
                found = [get_claim(name, token_use=token_use) for name in names]
                assert found == [1_700_000_000, "urn:mfa", "a1"]

    @pytest.mark.parametrize("wrong", [timedelta(hours=1), "yesterday", True])
    def test_another_type_of_time_is_told(self, wrong: Any) -> None:
        with (
            pytest.raises(TypeError, match=r"seconds since the epoch.*time\.time\(\) - 3600"),
            signed_in("ada", auth_time=wrong),
        ):
            pass

    def test_several_ways_are_told(self) -> None:
        wrong: Any = ["urn:mfa"]
        with pytest.raises(TypeError, match="acr is one text"), signed_in("ada", acr=wrong):
            pass
