"""The README's programs run, and print what it says. (Its `>>>` examples run as doctests.)"""

import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from amplify_mw.testing import LocalUserPool

README = Path(__file__).parent.parent / "README.md"
PROGRAMS = [
    block
    for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    if ">>>" not in block
]
OUTPUTS = 'from_outputs("amplify_outputs.json"'


def run(program: str, pool: LocalUserPool) -> dict[str, Any]:
    """Run a program, with what names Amazon pointed at the local pool."""
    local = f"(user_pool_id={pool.user_pool_id!r}, client_id={pool.client_id!r}, "
    local += f"endpoint_url={pool.url!r}, issuer={pool.issuer!r}"
    assert f".{OUTPUTS}" in program
    amazon = f'boto3.client("cognito-idp", endpoint_url={pool.url!r}, region_name="eu-west-1")'
    program = program.replace(f".{OUTPUTS}", local).replace(
        'boto3.client("cognito-idp", region_name="eu-west-1")', amazon
    )
    namespace: dict[str, Any] = {"__name__": "app"}
    exec(program, namespace)
    return namespace


def test_there_are_three_flask_programs_and_one_of_fastapi() -> None:
    found = [re.search(r"^from (\w+)", program, re.MULTILINE) for program in PROGRAMS]
    assert [match and match[1] for match in found] == ["flask", "fastapi", "flask", "flask"]


def test_the_flask_program_prints_what_the_readme_says(pool: LocalUserPool) -> None:
    client = run(PROGRAMS[0], pool)["app"].test_client()
    shown = re.findall(r"\$ curl .*\n(.*)\n", README.read_text())[:2]
    refused = client.get("/")
    client.set_cookie("amplify-session", pool.sign_in("ada").access_token)
    assert [client.get("/").text, refused.text] == shown


def test_the_fastapi_program_knows_the_user(pool: LocalUserPool) -> None:
    client = TestClient(run(PROGRAMS[1], pool)["app"])
    assert client.get("/api/me").status_code == 401
    client.cookies.set("amplify-session", pool.sign_in("ada").access_token)
    assert client.get("/api/me").json()["email"] == "ada@example.com"


KEY = "q0v1m5Ztg7r2cXyJk3nB8dWfHs6uEaLpTiOoYxUzVwM"
KINDS = [
    'StoredSession(SQLiteStore("sessions.db"))',
    f"__import__('amplify_mw').SealedSession(keys=[{KEY!r}])",
    "StoredSession(__import__('amplify_mw.stores').stores.MemoryStore())",
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_program_that_signs_people_in_does_so_and_out(
    kind: str, pool: LocalUserPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert KINDS[0] in PROGRAMS[2]
    program = PROGRAMS[2].replace(KINDS[0], kind)
    with run(program, pool)["app"].test_client() as client:
        form = {"name": "ada", "password": "correct horse"}
        site = {"base_url": "https://localhost"}
        wrong = client.post("/sign-in", data={**form, "password": "guessed"}, **site)
        assert (wrong.status_code, client.get("/", **site).status_code) == (401, 401)
        assert client.post("/sign-in", data=form, **site).text == "Hello ada."
        assert client.get("/", **site).text == "Hello ada."
        assert client.post("/sign-out", **site).text == "Goodbye."
        assert client.get("/", **site).status_code == 401


def test_the_readme_counts_the_cases_of_the_comparison() -> None:
    table = README.with_name("tests") / "amplify_js" / "PARITY.md"
    counted = re.search(r"^(\d+) cases", table.read_text(), re.MULTILINE)
    assert counted is not None
    assert f"{counted[1]} cases one by one" in README.read_text()
