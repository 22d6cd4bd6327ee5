"""The page's example beside Amplify JS: Amplify signs in, and the program knows the user."""

import re

import pytest
from werkzeug.test import Client

from amplify_mw import AmplifyConfig
from amplify_mw.testing import LocalUserPool
from tests.amplify_js.node import ORIGIN, AmplifyJS
from tests.docs.pages import PAGES, run

pytestmark = pytest.mark.node
UUID = re.compile(r'"userId":"[0-9a-f-]{36}"')


def test_whom_amplify_signed_in_the_program_knows(
    amplify: AmplifyJS, pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool.add_user("ada@example.com")
    page = amplify.page()
    page.sign_in(pool, "ada@example.com", "correct horse")
    local = staticmethod(lambda _, **options: pool.config(**options))
    monkeypatch.setattr(AmplifyConfig, "from_outputs", local)
    client = Client(run("amplify-js")["app"], use_cookies=False)
    got = client.get("/api/me", base_url=ORIGIN, headers={"Cookie": page.cookie})
    (shown,) = re.findall(r"\$ curl .*/api/me\n(.*)\n", PAGES["amplify-js"])
    assert UUID.sub("", got.text.strip()) == UUID.sub("", shown)
    assert client.get("/api/me").status_code == 401
