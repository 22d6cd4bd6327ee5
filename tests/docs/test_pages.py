"""The documentation's programs run, its commands exist, and its lists are whole."""

import argparse
import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from amplify_mw import AmplifyConfig, AuthRoutes
from amplify_mw.__main__ import _parser
from amplify_mw.testing import LocalUserPool
from tests.docs.pages import DOCS, PAGES, PROGRAMS, blocks, run

PYPROJECT = tomllib.loads((DOCS.parent / "pyproject.toml").read_text())


@pytest.mark.usefixtures("surroundings")
@pytest.mark.parametrize("page", PROGRAMS)
def test_the_programs_of_a_page_run(page: str, pool: LocalUserPool) -> None:
    run(page, pool=pool)


def test_every_block_says_its_language() -> None:
    known = {
        *("python", "py", "console", "sh", "js", "json", "html", "text"),
        *("nginx", "toml", "yaml", "promql"),
    }
    for page, text in PAGES.items():
        fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
        languages = {name for name in fences[::2] if not name.startswith("{")}
        assert languages <= known, page


def test_json_and_toml_blocks_parse() -> None:
    for page in PAGES:
        for block in blocks(page, "json"):
            json.loads(block.text)
        for block in blocks(page, "toml"):
            tomllib.loads(block.text)


def _commands() -> list[tuple[str, list[str]]]:
    """The page and the words of each line that begins one of our commands, or pip."""
    found = []
    for page in PAGES:
        for block in blocks(page, "console", "sh"):
            for line in re.split(r"\n|&&| \| |=\$\(|\)$", block.text, flags=re.MULTILINE):
                words = shlex.split(line.removeprefix("$ "), comments=True)
                name = Path(words[0]).name if words else ""
                if name in ("amplify-mw", "pip"):
                    found.append((page, [name, *words[1:]]))
    return found


def test_commands_of_ours_take_what_the_pages_give_them() -> None:
    ours = [words[1:] for _, words in _commands() if words[0] == "amplify-mw"]
    assert ours
    for words in ours:
        assert isinstance(_parser().parse_args(words), argparse.Namespace)


def test_extras_that_the_pages_install_exist() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    for _, words in _commands():
        for extra in re.findall(r"(?:amplify[-_]mw|\.)\[(\w+)\]", " ".join(words)):
            assert extra in extras


def test_the_outputs_of_the_sign_in_page_configure_the_routes() -> None:
    (block,) = blocks("sign-in", "json")
    auth = {"user_pool_id": "eu-west-1_Ab12Cd34E", "user_pool_client_id": "web"}
    outputs = {"version": "1.4", "auth": {**auth, "oauth": json.loads(block.text)}}
    routes = AuthRoutes(origin="https://app.example.com", keys=[b"k" * 32])
    config = AmplifyConfig.from_outputs(outputs, routes=routes)
    assert config.routes is not None
    assert config.domain == "https://myapp.auth.eu-west-1.amazoncognito.com"
    assert config.routes.redirect_sign_in == (config.routes.callback_url,)
    assert config.routes.redirect_sign_out == (config.routes.sign_out_callback_url,)
    assert config.routes.scope == AuthRoutes(origin="https://app.example.com").scope
