"""`amplify-mw inspect`: its input, its output, its exit status."""

import contextlib
import io
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from amplify_mw.__main__ import main
from amplify_mw.config.files import VARIABLES
from amplify_mw.testing import LocalUserPool
from tests.patience import until
from tests.test_layers import HEAVY, loaded_by

SEALED = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwia2lkIjoiVzk4OGFfbjQifQ..AAAA.AAAA.AAAA"
OUTPUTS = "amplify_outputs.json"


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def outputs(pool: LocalUserPool, tmp_path: Path) -> str:
    path = tmp_path / OUTPUTS
    path.write_text(json.dumps(pool.outputs()))
    return str(path)


class Run:
    """The command, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, data: bytes, *arguments: str) -> tuple[int, str, str]:
        stdin = io.TextIOWrapper(io.BytesIO(data))
        self._monkeypatch.setattr(sys, "stdin", stdin)
        status = main(["inspect", *arguments])
        return status, *self._capsys.readouterr()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


def test_the_exit_status_tells_the_outcome(run: Run, outputs: str, pool: LocalUserPool) -> None:
    good, bad = pool.mint("ada").encode(), pool.mint("ada", client_id="other").encode()
    status, out, err = run(good, "--config", outputs)
    assert (status, out.splitlines()[-1], err) == (0, "Signed in.", "")
    status, out, err = run(bad, "--config", outputs)
    assert (status, err) == (1, "")
    assert "Refused: wrong_client (401, the cookie is cleared)." in out
    assert run(good, "--config", outputs, "--offline")[0] == 3
    assert run(good)[0] == 3


def test_json_is_for_programs(run: Run, outputs: str, pool: LocalUserPool) -> None:
    token = pool.mint("ada", expires_in=-3600).encode()
    status, out, _ = run(b"Cookie: amplify-session=" + token, "--config", outputs, "--json")
    found = json.loads(out)
    assert (status, found["outcome"], found["reason"]) == (1, "refused", "token_expired")
    assert (found["recognised"], found["status"], found["cookie"]) == ("cookies", 401, "cleared")
    assert "claims" not in found
    wrong = [check["name"] for check in found["checks"] if check["outcome"] == "wrong"]
    assert wrong == ["exp"]


def test_claims_are_printed_if_asked_for(run: Run, outputs: str, pool: LocalUserPool) -> None:
    token = pool.mint("ada").encode()
    assert "ada@example.com" not in run(token, "--config", outputs)[1]
    out = run(token, "--config", outputs, "--show-claims", "--json")[1]
    assert json.loads(out)["claims"]["token"]["email"] == "ada@example.com"


def test_a_file_is_read_in_place_of_standard_input(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "pasted"
    path.write_bytes(b"\xef\xbb\xbfwrong_client\r\n")
    status, out, _ = run(b"", "--file", str(path))
    assert (status, out.splitlines()[0]) == (1, "This is a reason.")


def test_what_cannot_be_used_is_said_with_status_2(run: Run, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert run(b"", "--file", missing)[::2] == (
        2,
        f"amplify-mw inspect: {missing}: No such file or directory\n",
    )
    status, out, err = run(b"x", "--config", "no_such_module:config")
    assert (status, out) == (2, "")
    assert err == (
        "amplify-mw inspect: --config no_such_module:config: No module named 'no_such_module'\n"
    )


def test_the_environment_is_the_default(
    run: Run, monkeypatch: pytest.MonkeyPatch, pool: LocalUserPool, outputs: str
) -> None:
    monkeypatch.setenv("AMPLIFY_OUTPUTS", outputs)
    assert run(pool.mint("ada").encode())[0] == 0
    monkeypatch.setenv("AMPLIFY_OUTPUTS", "/no/such/file.json")
    assert run(b"x")[0] == 2


@pytest.mark.parametrize(
    "prefix", ["Cookie: theme=dark; amplify-session=", "GET / HTTP/1.1\nCookie: amplify-session="]
)
def test_without_a_configuration_a_cookie_says_as_much_as_its_value(
    run: Run, pool: LocalUserPool, prefix: str
) -> None:
    token = pool.mint("ada", expires_in=60, issued_at=1_700_000_000)
    for value, checks in ((token, ("kid", "iss", "exp")), (SEALED, ("jwe",))):
        (_, bare, _), (status, whole, _) = run(value.encode()), run((prefix + value).encode())
        assert status == 3
        for check in checks:
            line = re.search(rf"^\w+ +{check} .*$", bare, re.MULTILINE)
            assert line is not None
            assert line[0].split() in [each.split() for each in whole.splitlines()]


@pytest.mark.parametrize("how", ["eyJhbGciOiJub25lIn0.e30.", "--token=eyJhbGciOiJub25lIn0.e30."])
def test_a_credential_on_the_command_line_is_refused_and_not_repeated(
    run: Run, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    with pytest.raises(SystemExit) as error:
        run(b"", how)
    assert error.value.code == 2
    said = capsys.readouterr().err
    assert "give it on standard input, or write --file PATH" in said
    assert "eyJ" not in said


def test_nothing_at_all_is_an_answer(run: Run, outputs: Any) -> None:
    for arguments in ([], ["--config", outputs]):
        status, out, _ = run(b"", *arguments)
        assert status == 3
        assert out.startswith("This is nothing.")


def test_nothing_is_loaded_that_is_not_needed() -> None:
    """It answers at once: no network, no cryptography, no framework."""
    code = (
        "from amplify_mw import AmplifyConfig\n"
        "from amplify_mw.diagnostics import inspect_credential\n"
        "config = AmplifyConfig(user_pool_id='eu-west-1_Ab12Cd34E', client_id='web')\n"
        "assert inspect_credential(b'a.b.c', config, offline=True).reason == 'malformed_token'"
    )
    assert not loaded_by(code) & HEAVY


@pytest.mark.parametrize("command", [["inspect"], ["doctor", "--offline"]])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BrokenPipeError(32, "Broken pipe"), None),  # `| head`
        (OSError(28, "No space left on device"), "standard output: No space left on device"),
    ],
)
def test_an_answer_that_nobody_can_read_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: list[str],
    error: OSError,
    told: str | None,
) -> None:
    class Output(io.TextIOWrapper):
        def flush(self) -> None:
            raise error

    stdout = Output((tmp_path / "output").open("wb"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"wrong_client")))
    monkeypatch.setattr(sys, "stdout", stdout)
    status = main(command)
    said = capsys.readouterr().err
    assert (status, said) == (
        (1, "") if told is None else (2, f"amplify-mw {command[0]}: {told}\n")
    )
    with contextlib.suppress(OSError):
        stdout.detach().close()


def test_closed_streams_are_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert main(["inspect"]) == 2
    assert main(["inspect", "--file", "/no/such/file"]) == 2
    assert main(["doctor", "--offline"]) == 2


def test_an_input_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with (tmp_path / "written").open("wb") as file:
        monkeypatch.setattr(
            sys, "stdin", type("Stdin", (), {"buffer": file, "isatty": file.isatty})
        )
        assert main(["inspect"]) == 2
    assert capsys.readouterr().err == "amplify-mw inspect: standard input: read\n"


def test_an_interruption_is_no_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    stdin = type("Stdin", (), {"isatty": interrupt})
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["inspect"]) == 130


def test_a_long_line_that_is_pasted_into_a_terminal_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal by itself drops what is beyond 4,095 bytes of a line."""
    termios = pytest.importorskip("termios")
    ours, theirs = os.openpty()

    def is_ready() -> bool:
        return not termios.tcgetattr(theirs)[3] & termios.ICANON

    def paste() -> None:
        until(is_ready)
        for piece in [b"Cookie: theme=dark"] + [b"x" * 500] * 12 + [b"; amplify-session=abc\n\x04"]:
            os.write(ours, piece)
            os.read(ours, 65_536)  # its echo

    with ThreadPoolExecutor(1) as pool, open(theirs, encoding="ascii") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        before, pasting = termios.tcgetattr(theirs), pool.submit(paste)
        status = main(["inspect", "--json"])
        pasting.result()
        assert termios.tcgetattr(theirs) == before
    os.close(ours)
    out, err = capsys.readouterr()
    assert (status, err.partition(" ")[0]) == (3, "Paste")
    assert "'amplify-session', 3 bytes" in [check["found"] for check in json.loads(out)["checks"]]
