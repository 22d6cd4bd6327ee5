"""The outputs on the page about `amplify-mw inspect` are those of the library."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AmplifyConfig, Needs
from amplify_mw.diagnostics import inspect_credential
from amplify_mw.testing import LocalUserPool
from tests.sites import Clock

PAGE = Path(__file__).parents[2] / "docs" / "inspect.md"
POOL, KID = "eu-west-1_Ab12Cd34E", "mK2x7pQ4="
ISSUER = f"https://cognito-idp.eu-west-1.amazonaws.com/{POOL}"
OURS, ANOTHERS = "7h2k9ddw3example", "4a7u8jjv1example"


@pytest.fixture
def configure(pool: LocalUserPool) -> Callable[..., AmplifyConfig]:
    """The page's configuration, with the keys of a local pool."""
    (key,) = pool.jwks()["keys"]
    keys = {"keys": [{**key, "kid": KID}]}

    def configure(**options: Any) -> AmplifyConfig:
        return AmplifyConfig(user_pool_id=POOL, client_id=OURS, keys=keys, **options)

    return configure


@pytest.fixture
def cookies(pool: LocalUserPool, clock: Clock) -> Callable[[str], str]:
    def cookies(client: str) -> str:
        made: dict[str, Any] = {"issuer": ISSUER, "header": {"kid": KID}, "client_id": client}
        token = pool.mint("ada", issued_at=clock.now - 600, expires_in=3600, **made)
        return f"theme=dark; amplify-session={token}"

    return cookies


def examples() -> list[str]:
    """The page's outputs."""
    return re.findall(r"^```text\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_outputs_are_the_librarys(
    configure: Callable[..., AmplifyConfig], cookies: Callable[[str], str], clock: Clock
) -> None:
    first = f"Cookie: {cookies(ANOTHERS)}".encode()
    head = (
        "GET /admin/users HTTP/1.1\nHost: app.example.com\nSec-Fetch-Site: same-origin\n"
        f"Cookie: {cookies(OURS)}"
    ).encode()
    guarded = configure(protect={"/admin/*": Needs(groups=["admins"])})
    made = [
        inspect_credential(first, configure(), clock=clock),
        inspect_credential(head, guarded, clock=clock),
    ]
    for found, shown in zip(made, examples(), strict=True):
        assert str(found).splitlines() == shown.splitlines()
