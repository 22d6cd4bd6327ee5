"""A front end beside the local pool: TLS at the same port, pages of other origins, the outputs."""

import json
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx2
import pytest

from amplify_mw import AmplifyConfig, AuthRoutes, ConfigurationError, SealedSession
from amplify_mw.sessions.seal import key_text
from amplify_mw.testing import LocalUserPool, Throttling
from amplify_mw.testing.pool.certificate import Certificate, is_own, new_certificate
from amplify_mw.testing.pool.outputs import NotOurs, write_outputs
from tests.patience import PATIENCE
from tests.testing.asking import AMZ_JSON, TARGET, Clock, client

PAGE = "http://localhost:5173"


def trusting(pool: LocalUserPool) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=pool.certificate)


def secure(pool: LocalUserPool, host: str = "localhost") -> str:
    return f"https://{host}:{pool.url.rpartition(':')[2]}"


class TestTLS:
    def test_one_port_speaks_both(self) -> None:
        with LocalUserPool(tls=True) as pool:
            plain = httpx2.get(pool.jwks_url, trust_env=False, timeout=PATIENCE).json()
            path = pool.jwks_url.removeprefix(pool.url)
            for host in ("localhost", "127.0.0.1"):
                with httpx2.Client(
                    trust_env=False, verify=trusting(pool), timeout=PATIENCE
                ) as http:
                    assert http.get(secure(pool, host) + path).json() == plain == pool.jwks()
                    assert (
                        http.get(secure(pool, host) + path).json() == plain
                    )  # the same connection

    def test_without_trust_nothing_is_said_and_the_pool_goes_on(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with LocalUserPool(tls=True) as pool:
            with pytest.raises(httpx2.ConnectError, match="certificate"):
                httpx2.get(secure(pool), trust_env=False, timeout=PATIENCE)
            with client() as http:
                assert http.get(pool.jwks_url).status_code == 200
        assert capfd.readouterr().err == ""

    @pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x00\x05hello"])
    def test_a_client_that_stops_in_the_middle_does_not_hold_the_end_up(self, sent: bytes) -> None:
        with LocalUserPool(tls=True) as pool:
            host, port = pool.url.removeprefix("http://").split(":")
            connection = socket.create_connection((host, int(port)), PATIENCE)
            connection.sendall(sent)
        connection.close()

    def test_the_certificate_is_kept_until_its_last_week(self, tmp_path: Path) -> None:
        clock = Clock()
        options: dict[str, Any] = {"tls": True, "state": tmp_path / "pool.json", "clock": clock}
        with LocalUserPool(**options) as pool:
            first = pool.certificate
        clock.now += 380 * 24 * 3600
        with LocalUserPool(**options) as pool:
            assert pool.certificate == first
        clock.now += 10 * 24 * 3600
        with LocalUserPool(**options) as pool:
            second = pool.certificate
            assert second != first
        with LocalUserPool(**options) as pool:
            assert pool.certificate == second

    def test_the_certificate_signs_no_other(self) -> None:
        made = new_certificate(Clock().now)
        assert is_own(made.certificate.encode())
        assert made.key not in repr(made)
        assert isinstance(made, Certificate)

    @pytest.mark.parametrize("content", [b"", b"text", b"-----BEGIN CERTIFICATE-----\n"])
    def test_another_file_is_no_certificate_of_a_pool(self, content: bytes) -> None:
        assert not is_own(content)


def ask(pool: LocalUserPool, method: str = "POST", **headers: str) -> httpx2.Response:
    given = {"X-Amz-Target": f"{TARGET}GetUser", "Content-Type": AMZ_JSON, **headers}
    with client() as http:
        return http.request(method, f"{pool.url}/", headers=given, content=b"{}")


class TestOrigins:
    def test_a_page_of_the_origin_may_ask_and_read(self) -> None:
        with LocalUserPool(origins=[PAGE]) as pool:
            preflight = ask(
                pool, "OPTIONS", **{"Origin": PAGE, "Access-Control-Request-Method": "x"}
            )
            assert preflight.status_code == 204
            assert preflight.headers["Access-Control-Allow-Origin"] == PAGE
            assert preflight.headers["Access-Control-Allow-Headers"] == "*, Authorization"
            answer = ask(pool, Origin=PAGE)
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert "x-amzn-errortype" in answer.headers["Access-Control-Expose-Headers"]
            assert answer.headers["Vary"] == "Origin"
            assert "Access-Control-Allow-Credentials" not in answer.headers

    def test_so_may_it_read_a_fault(self) -> None:
        with LocalUserPool(origins=[PAGE]) as pool, pool.fault("GetUser", Throttling()):
            assert ask(pool, Origin=PAGE).headers["Access-Control-Allow-Origin"] == PAGE

    @pytest.mark.parametrize("origin", ["http://localhost:5174", "https://localhost:5173", "null"])
    def test_a_page_of_another_origin_may_not(self, origin: str) -> None:
        with LocalUserPool(origins=[PAGE]) as pool:
            for method in ("OPTIONS", "POST"):
                headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
                assert "Access-Control-Allow-Origin" not in ask(pool, method, **headers).headers

    def test_without_origins_there_is_no_word_of_them(self) -> None:
        with LocalUserPool() as pool:
            headers = {"Origin": PAGE, "Access-Control-Request-Method": "POST"}
            assert ask(pool, "OPTIONS", **headers).status_code == 404
            assert "Vary" not in ask(pool, Origin=PAGE).headers

    @pytest.mark.parametrize("origin", ["localhost:5173", f"{PAGE}/app", "*", ""])
    def test_what_is_no_origin_is_refused(self, origin: str) -> None:
        with pytest.raises(ConfigurationError, match="origins"):
            LocalUserPool(origins=[origin])


class TestOutputs:
    def test_the_file_configures_an_app_as_it_stands(self, tmp_path: Path) -> None:
        path = tmp_path / "amplify_outputs.json"
        with LocalUserPool(origins=[PAGE], tls=True) as pool:
            write_outputs(path, pool.outputs())
            config = AmplifyConfig.from_outputs(path)
            assert config.user_pools == pool.config().user_pools

    def test_an_apps_routes_are_not_bound_to_the_addresses_of_the_page(self) -> None:
        with LocalUserPool(origins=[PAGE], tls=True) as pool:
            config = AmplifyConfig.from_outputs(
                pool.outputs(),
                session=SealedSession(keys=[key_text(bytes(32))]),
                routes=AuthRoutes(origin="http://localhost:8000"),
            )
        assert config.user_pools[0].domain == pool.url

    def test_a_file_of_somebody_elses_is_not_overwritten(self, tmp_path: Path) -> None:
        path = tmp_path / "amplify_outputs.json"
        for content in ('{"version": "1.4", "auth": {}, "custom": {}}', "", "{", "[]"):
            path.write_text(content)
            with pytest.raises(NotOurs, match="--outputs"), LocalUserPool() as pool:
                write_outputs(path, pool.outputs())
            assert path.read_text() == content

    def test_its_own_file_is_written_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "amplify_outputs.json"
        for _ in range(2):
            with LocalUserPool() as pool:
                write_outputs(path, pool.outputs())
            assert json.loads(path.read_text())["custom"]["amplify_mw"]["endpoint_url"] == pool.url
        assert list(tmp_path.iterdir()) == [path]
