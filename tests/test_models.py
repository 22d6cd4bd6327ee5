"""The values a caller receives."""

import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from amplify_mw import AuthSession, AuthUser, Jwt, SignInDetails, Tokens

DETAILS = SignInDetails("ada@example.com", "USER_SRP_AUTH")
ADA = AuthUser("ada", "0f3c", DETAILS)
JWT = Jwt("eyJ.secret.sig", {"sub": "0f3c", "email": "secret@example.com"})
TOKENS = Tokens(JWT, JWT, DETAILS)
SESSION = AuthSession(TOKENS, "0f3c")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (AuthUser("ada", "0f3c"), {"username": "ada", "userId": "0f3c", "groups": []}),
        (
            AuthUser("ada", "0f3c", groups=("b", "a")),
            {"username": "ada", "userId": "0f3c", "groups": ["b", "a"]},
        ),
        (
            ADA,
            {
                "username": "ada",
                "userId": "0f3c",
                "groups": [],
                "signInDetails": {"loginId": "ada@example.com", "authFlowType": "USER_SRP_AUTH"},
            },
        ),
        (SignInDetails("ada"), {"loginId": "ada"}),
        (SignInDetails(auth_flow_type="USER_SRP_AUTH"), {"authFlowType": "USER_SRP_AUTH"}),
        (SignInDetails(), {}),
        (
            AuthUser("ada", "0f3c", SignInDetails()),
            {"username": "ada", "userId": "0f3c", "groups": [], "signInDetails": {}},
        ),
    ],
)
def test_to_dict_is_amplifys_spelling_without_what_is_none(value: Any, written: Any) -> None:
    assert value.to_dict() == written


def test_to_dict_is_the_callers_own() -> None:
    ADA.to_dict()["signInDetails"]["loginId"] = "eve"
    ADA.to_dict()["groups"].append("admins")
    assert ADA.to_dict()["groups"] == []
    assert ADA.to_dict()["signInDetails"]["loginId"] == "ada@example.com"


@pytest.mark.parametrize("value", [JWT, TOKENS, SESSION], ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("show", [repr, str, "{}".format, ascii])
def test_no_repr_shows_a_token_or_a_claim(value: Any, show: Any) -> None:
    assert "secret" not in show(value)
    assert "Jwt" in show(value)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (ADA, "username"),
        (ADA, "user_id"),
        (DETAILS, "login_id"),
        (JWT, "encoded"),
        (TOKENS, "access_token"),
        (SESSION, "tokens"),
    ],
)
def test_values_are_frozen(value: Any, field: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(value, field, None)


@pytest.mark.parametrize(
    "value", [ADA, DETAILS, JWT, TOKENS, SESSION], ids=lambda v: type(v).__name__
)
def test_values_take_no_further_attributes(value: Any) -> None:
    with pytest.raises((AttributeError, TypeError)):
        value.is_admin = True


def test_users_are_compared_and_hashed_by_value() -> None:
    assert AuthUser("ada", "0f3c") == AuthUser("ada", "0f3c") != AuthUser("ada", "other")
    assert AuthUser("ada", "0f3c", groups=("a",)) != AuthUser("ada", "0f3c")
    assert len({AuthUser("ada", "0f3c"), AuthUser("ada", "0f3c"), ADA}) == 2


def test_a_user_survives_a_pickle_with_its_groups() -> None:
    ada = AuthUser("ada", "0f3c", DETAILS, ("editors", "admins"))
    assert pickle.loads(pickle.dumps(ada)) == ada


def test_a_session_without_a_user_is_empty() -> None:
    assert (AuthSession().tokens, AuthSession().user_sub) == (None, None)
