"""The README's programs run, and print what it says. (Its `>>>` examples run as doctests.)"""

import re
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from amplify_mw.testing import LocalUserPool

README = Path(__file__).parent.parent / "README.md"
PROGRAMS = [
    block
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    if ">>>" not in block
]
OUTPUTS = 'from_outputs("amplify_outputs.json")'


def run(program: str, pool: LocalUserPool) -> dict[str, Any]:
    """Run a program, with the one line that names Amazon pointed at the local pool."""
    local = f"(user_pool_id={pool.user_pool_id!r}, client_id={pool.client_id!r}, "
    local += f"endpoint_url={pool.url!r}, issuer={pool.issuer!r})"
    assert f".{OUTPUTS}" in program
    namespace: dict[str, Any] = {"__name__": "app"}
    exec(program.replace(f".{OUTPUTS}", local), namespace)
    return namespace


def test_there_is_a_flask_and_a_fastapi_program() -> None:
    assert [re.search(r"from (\w+)", program)[1] for program in PROGRAMS] == ["flask", "fastapi"]  # type: ignore[index]


def test_the_flask_program_prints_what_the_readme_says(pool: LocalUserPool) -> None:
    client = run(PROGRAMS[0], pool)["app"].test_client()
    shown = re.findall(r"\$ curl .*\n(.*)\n", README.read_text())
    refused = client.get("/")
    client.set_cookie("amplify-session", pool.sign_in("ada").access_token)
    assert [client.get("/").text, refused.text] == shown


def test_the_fastapi_program_knows_the_user(pool: LocalUserPool) -> None:
    client = TestClient(run(PROGRAMS[1], pool)["app"])
    assert client.get("/api/me").status_code == 401
    client.cookies.set("amplify-session", pool.sign_in("ada").access_token)
    assert client.get("/api/me").json()["email"] == "ada@example.com"
