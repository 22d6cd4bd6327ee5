"""What the README says is so: its programs run, its versions are tested, its links lead somewhere.

The programs find the file that `amplify-mw pool` writes. The commands are read in tests/docs.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from amplify_mw.sessions.seal import key_text
from amplify_mw.testing import LocalUserPool
from tests.docs.pages import DOCS, PAGES, run
from tests.docs.visitor import Visitor

ROOT = DOCS.parent
README = PAGES["README"]
SITE = "http://localhost:5000"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of one's own, and a key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SESSION_KEY", "q0v1m5Ztg7r2cXyJk3nB8dWfHs6uEaLpTiOoYxUzVwM")


@pytest.fixture
def pool(folder: None) -> Iterator[LocalUserPool]:
    """The pool of the README's command, and its file in that folder."""
    with LocalUserPool() as pool:
        pool.add_user("ada", "password", email="ada@example.com")
        Path("amplify_outputs.json").write_text(json.dumps(pool.outputs()))
        yield pool


def visitor(number: int) -> Visitor:
    """A browser at the site of the README's Flask (0) or FastAPI (1) program."""
    app = run("README", only=number)["app"]
    return Visitor(app.test_client() if number == 0 else TestClient(app, SITE), SITE)


@pytest.mark.parametrize("number", [0, 1], ids=["flask", "fastapi"])
def test_a_program_signs_in_shows_the_user_and_signs_out(pool: LocalUserPool, number: int) -> None:
    browser = visitor(number)
    browser.sign_in(pool, "/account", "ada", "password")
    page = browser.get("/account").text
    assert "ada@example.com" in page if number else page.startswith("Hello ada. ")
    browser.post("/auth/sign-out")
    assert browser.get("/account").status_code == 302


@pytest.mark.parametrize(("is_same_key", "status"), [(True, 200), (False, 302)])
def test_a_reload_signs_nobody_out_with_the_same_key(
    pool: LocalUserPool, monkeypatch: pytest.MonkeyPatch, is_same_key: bool, status: int
) -> None:
    browser = visitor(0)
    browser.sign_in(pool, "/account", "ada", "password")
    if not is_same_key:
        monkeypatch.setenv("SESSION_KEY", key_text(os.urandom(32)))
    browser.client.application = run("README", only=0)["app"]
    assert browser.get("/account").status_code == status


def test_the_versions_are_installed_here_and_allowed() -> None:
    (sentence,) = re.findall(r"^Tested with (.*?)\. ", README, re.MULTILINE | re.DOTALL)
    named = dict(re.findall(r"(\w+) (\d+\.\d+)", sentence))
    assert set(named) == {
        *("Flask", "Django", "FastAPI", "Starlette", "Quart", "Litestar", "Bottle", "Pyramid"),
        *("Falcon", "BlackSheep", "Sanic"),
    }
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    least = dict(re.findall(r"'(\w+)(?:\[\w+\])?>=([\d.]+)'", str(groups)))
    for name, text in named.items():
        tested, installed = numbers(text), numbers(version(name))
        assert numbers(least[name.lower()]) <= tested <= installed, name
        assert tested[0] == installed[0], f"{name} {installed} is tested: write it"


def numbers(text: str) -> list[int]:
    """A version as numbers: its first two."""
    return [int(part) for part in text.split(".")[:2]]


def test_the_python_version_is_the_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (least,) = re.findall(r"Python (3\.\d+) or newer", README)
    assert project["requires-python"] == f">={least}"


def test_every_link_leads_to_a_page_and_a_heading() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        text = (ROOT / path).read_text()
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, link


def test_it_leads_to_every_page() -> None:
    links = re.findall(r"\(docs/([\w/-]+)\.md", README)
    assert set(PAGES) - set(links) - {"README"} == {
        page for page in PAGES if page.startswith(("frameworks/", "reference/"))
    } - {"frameworks/index"}
