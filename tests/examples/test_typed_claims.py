"""Claims without a check for None."""

from fastapi.testclient import TestClient

from amplify_mw import AmplifyConfig
from amplify_mw.testing import signed_in, signed_out
from tests.examples import typed_claims

CONFIG = AmplifyConfig(user_pool_id="eu-west-1_Claims001", client_id="web")


def test_a_user_has_the_claims() -> None:
    with signed_in("ada", groups=["editors", "admins"], email="ada@example.com"):
        assert typed_claims.email() == "ada@example.com"
        assert typed_claims.greeting() == "Hello, ada of editors, admins"
        assert typed_claims.id_token_or_none() is not None
        got = TestClient(typed_claims.create_app(CONFIG)).get("/api/claims")
    assert got.json() == {"email": "ada@example.com"}


def test_nobody_has_none() -> None:
    with signed_out():
        assert typed_claims.greeting() == "Hello"
        assert typed_claims.id_token_or_none() is None
        got = TestClient(typed_claims.create_app(CONFIG)).get("/api/claims")
    assert got.status_code == 401
