"""The README's example beside Amplify JS: Amplify signs in, and the program knows who it is."""

import re
from pathlib import Path

import pytest
from werkzeug.test import Client

from amplify_mw.testing import LocalUserPool
from tests.amplify_js.node import ORIGIN, AmplifyJS
from tests.test_readme import PROGRAMS, run

pytestmark = pytest.mark.node
README = Path(__file__).parents[2] / "README.md"
UUID = re.compile(r'"userId":"[0-9a-f-]{36}"')


def test_whom_amplify_signed_in_the_program_knows(amplify: AmplifyJS, pool: LocalUserPool) -> None:
    pool.add_user("ada@example.com")
    page = amplify.page()
    page.sign_in(pool, "ada@example.com", "correct horse")
    (program,) = [program for program in PROGRAMS if "AmplifyCookies()" in program]
    app = run(program, pool)["app"]
    client = Client(app, use_cookies=False)
    got = client.get("/api/me", base_url=ORIGIN, headers={"Cookie": page.cookie})
    (shown,) = re.findall(r"\$ curl .*/api/me\n(.*)\n", README.read_text())
    assert UUID.sub("", got.text.strip()) == UUID.sub("", shown)
    assert client.get("/api/me").status_code == 401
