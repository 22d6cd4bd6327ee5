"""`--config`: a file, a module's attribute, or the environment; and errors that teach."""

import sys
from pathlib import Path
from typing import Any

import pytest

from amplify_mw import AmplifyConfig, ConfigurationError
from amplify_mw.config.files import VARIABLES
from amplify_mw.diagnostics.configuration import configuration_if_any, configuration_of

MODULE = """
import sys
from amplify_mw import AmplifyConfig
from amplify_mw.asgi import AmplifyASGIMiddleware
from amplify_mw.engine.engine import Engine
from amplify_mw.integrations.flask import AmplifyAuth
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from flask import Flask
from starlette.applications import Starlette

print("loading")
config = AmplifyConfig(user_pool_id="eu-west-1_Ab12Cd34E", client_id="web")
engine = Engine(config)

def make(cookies=None):
    return config

async def make_later():
    return config

def with_argument(one):
    return config

def app(environ, start_response):
    return []

async def asgi(scope, receive, send):
    pass

wrapped = AmplifyWSGIMiddleware(app, config)
wrapped_asgi = AmplifyASGIMiddleware(asgi, config)
wrapped_twice = AmplifyWSGIMiddleware(AmplifyWSGIMiddleware(app, config), config)
two = AmplifyWSGIMiddleware(AmplifyWSGIMiddleware(app, config), config, leeway=7)
flask = Flask("site")
AmplifyAuth(flask, config)
bare_flask = Flask("bare")
starlette = Starlette()
starlette.add_middleware(AmplifyASGIMiddleware, config=config)

class Settings:
    AMPLIFY = config

def make_app():
    return flask

def fails():
    secret = "hunter2"
    raise ValueError(f"cannot connect with {secret}")

number = 7
"""

PORT = """
import socket
with socket.create_server(("127.0.0.1", 0)) as taken:
    socket.create_server(taken.getsockname())  # the innermost frame is the standard library's
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("site")
    (folder / "diagnosed_site.py").write_text(MODULE)
    (folder / "diagnosed_exit.py").write_text("raise SystemExit(1)")
    (folder / "diagnosed_key.py").write_text("import os\nos.environ['NO_SUCH_VARIABLE']")
    (folder / "diagnosed_port.py").write_text(PORT)
    (folder / "diagnosed_syntax.py").write_text("def (:")
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


FOUND = [
    *("config", "engine", "make", "wrapped", "wrapped_asgi", "wrapped_twice", "flask"),
    *("flask.wsgi_app", "starlette", "Settings.AMPLIFY", "make_app"),
]


@pytest.mark.parametrize("attribute", FOUND)
def test_a_configuration_is_found_by_its_name_or_its_app(module: Any, attribute: str) -> None:
    found = configuration_of(f"diagnosed_site:{attribute}")
    assert isinstance(found, AmplifyConfig)
    assert (found.user_pool_id, found.client_id) == ("eu-west-1_Ab12Cd34E", ("web",))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("diagnosed_site:number", "write the name of an AmplifyConfig"),
        ("diagnosed_site:bare_flask", "or of an app with the middleware around it; got Flask"),
        ("diagnosed_site:app", "got function"),
        ("diagnosed_site:with_argument", "got function"),
        ("diagnosed_site:two", "2 middlewares with different configurations"),
        ("diagnosed_site:nothing", "has no attribute 'nothing'"),
        ("diagnosed_site:", "write the path of amplify_outputs.json, or module:attribute"),
        ("diagnosed_site", "write the path of amplify_outputs.json, or module:attribute"),
        (":config", "write the path of amplify_outputs.json, or module:attribute"),
        ("diagnosed_none:config", "No module named 'diagnosed_none'"),
        ("diagnosed_exit:config", "importing it has raised SystemExit in "),
        ("diagnosed_key:config", "importing it has raised KeyError 'NO_SUCH_VARIABLE' in "),
        ("diagnosed_key:config", "line 2: set NO_SUCH_VARIABLE, as where the app runs"),
        ("diagnosed_port:config", "importing it has raised OSError (Address already in use) in "),
        ("diagnosed_port:config", "diagnosed_port.py, line 4"),
        ("diagnosed_site.py", "or module:attribute, such as diagnosed_site:config"),
        ("diagnosed_syntax:config", "importing it has raised SyntaxError"),
        ("no_such_file.json", "no_such_file.json"),
        ("..:config", "such as app:config"),
        (".", "such as app:config"),  # a folder
        ("./site/app.py", "such as site.app:config"),
        (__file__, "write the path of amplify_outputs.json, or module:attribute"),
        ("site/app.py:make", "such as site.app:make"),
        ("diagnosed_site:make_later", "got function"),
    ],
)
def test_what_cannot_be_used_says_what_to_write(module: Any, source: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        configuration_of(source)
    assert said in str(error.value)


def test_the_message_of_the_apps_own_error_is_not_shown(module: Any) -> None:
    with pytest.raises(ConfigurationError) as error:
        configuration_of("diagnosed_site:fails")
    assert "ValueError in " in str(error.value)
    assert "hunter2" not in str(error.value)


def test_what_a_module_prints_is_not_the_commands_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loud_site.py").write_text(
        "from amplify_mw import AmplifyConfig\nprint('loud')\n"
        "config = AmplifyConfig(user_pool_id='eu-west-1_Ab12Cd34E', client_id='web')"
    )
    monkeypatch.chdir(tmp_path)  # as `python -m` does, the command finds what is there
    configuration_of("loud_site:config")
    assert capsys.readouterr() == ("", "loud\n")


def test_without_any_word_of_a_pool_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert configuration_if_any(None) is None
    monkeypatch.setenv("AMPLIFY_USER_POOL_ID", "eu-west-1_Ab12Cd34E")
    with pytest.raises(ConfigurationError, match="AMPLIFY_CLIENT_ID"):
        configuration_if_any(None)
    monkeypatch.setenv("AMPLIFY_CLIENT_ID", "web")
    assert configuration_if_any(None) is not None
