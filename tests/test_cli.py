"""The command `amplify-mw`, as a process of its own."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

import amplify_mw.__main__ as cli
from amplify_mw import __version__
from amplify_mw.sessions.seal import KEY_BYTES, parse_key
from tests.demo.command import MODULE, Demo
from tests.patience import PATIENCE


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MODULE, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@pytest.fixture(params=[[], ["--fastapi"]], ids=["flask", "fastapi"])
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    demo = Demo("--port", "0", *request.param)
    yield demo
    demo.close()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something else listens at."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture
def usual_port_taken() -> Iterator[None]:
    """Port 8000 is taken: by this, or by whatever had it before."""
    with ExitStack() as stack:
        with suppress(OSError):
            stack.enter_context(socket.create_server(("127.0.0.1", 8000)))
        yield


def test_the_demo_says_where_it_is_and_answers_there(demo):
    assert "Who is signed in?" in demo.get()


def test_the_demo_at_127_0_0_1_leads_to_localhost(demo):
    assert "Who is signed in?" in demo.get("127.0.0.1")


def test_the_demo_names_the_file_to_copy(demo):
    path = Path(re.search(r"Code +(.+)", demo.announcement)[1])
    assert "def create_app(" in path.read_text()


def test_the_demo_says_who_can_sign_in_and_how_to_end_it(demo):
    assert all(word in demo.announcement for word in ("ada", "grace", "correct horse", "Ctrl-C"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_demo_cleanly(demo, number):
    demo.get()
    assert demo.end(number) == (0, "")


def test_without_a_choice_a_free_port_stands_in_for_a_taken_one(usual_port_taken):
    demo = Demo()
    try:
        assert demo.url != "http://localhost:8000/"
        assert "Who is signed in?" in demo.get()
    finally:
        demo.close()


def test_a_chosen_port_that_is_taken_is_an_error_in_one_line(taken):
    done = run("demo", "--port", str(taken))
    assert done.returncode == 1
    assert re.fullmatch(rf"amplify-mw demo: port {taken}: .+\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [([], "flask"), (["--fastapi"], "fastapi"), (["--fastapi"], "uvicorn")],
)
def test_a_missing_framework_is_an_error_that_says_how_to_get_it(
    arguments, missing, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, missing, None)
    for name in ("app_flask", "app_fastapi"):
        monkeypatch.delitem(sys.modules, f"amplify_mw.demo.{name}", raising=False)
    assert cli.main(["demo", "--port", "0", *arguments]) == 1
    assert capsys.readouterr().err == (
        f"amplify-mw demo: {missing} is not installed: pip install 'amplify-mw[demo]'\n"
    )


@pytest.mark.parametrize("port", ["-1", "65536", "http", "", "\u0668", "9" * 5000])
def test_a_port_that_is_none_is_a_usage_error(port, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["demo", "--port", port])
    assert "write a number from 0 to 65535" in capsys.readouterr().err


def test_keygen_prints_a_key_that_seals_sessions(capsys):
    assert cli.main(["keygen"]) == 0
    line = capsys.readouterr().out
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}\n", line)
    assert len(parse_key(line)) == KEY_BYTES


def test_the_help_of_keygen_says_how_keys_are_changed():
    text = " ".join(run("keygen", "--help").stdout.split())
    assert "keys=[old, new] first, then [new, old], and [new]" in text


def test_keygen_prints_another_key_each_time():
    assert run("keygen").stdout != run("keygen").stdout


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"amplify-mw {__version__}\n"


def test_python_m_is_the_command():
    assert run("--version").stdout == f"amplify-mw {__version__}\n"


def test_without_a_command_it_says_which_there_are():
    done = run()
    assert done.returncode == 2
    assert done.stderr.startswith("usage: amplify-mw ")


def test_the_version_costs_no_demo_and_no_server():
    code = (
        "import sys, amplify_mw.__main__ as cli\n"
        "try: cli.main(['--version'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"amplify_mw.demo", "amplify_mw.testing", "werkzeug"} & set(done.stdout.split())


def test_postgres_sql_prints_what_makes_the_table(capsys):
    assert cli.main(["postgres-sql", "--table", "auth.sessions", "--user", "web"]) == 0
    printed = capsys.readouterr().out
    assert 'CREATE TABLE IF NOT EXISTS "auth"."sessions" (' in printed
    assert 'GRANT SELECT, INSERT, UPDATE, DELETE ON "auth"."sessions" TO "web";' in printed


def test_postgres_sql_refuses_what_is_no_name(capsys):
    assert cli.main(["postgres-sql", "--table", "a;b"]) == 1
    assert capsys.readouterr().err.startswith("amplify-mw postgres-sql: table: write")
