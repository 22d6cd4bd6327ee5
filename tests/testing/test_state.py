"""A local pool's state file: what outlives the pool, and what is refused."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from amplify_mw.testing import LocalUserPool, new_signing_key
from amplify_mw.testing.pool.pool import StateError
from tests.testing.asking import APP, Clock, asked, call, code_for, get_user, redeem, returned
from tests.testing.test_srp import SRPClient
from tests.valkey import free_port

KEY = new_signing_key()  # for the first pool on a state; each would make one, which takes a while

# The members of version 1.
SIGN_IN_1 = (
    *("sha256", "username", "sub", "scope", "auth_time", "origin_jti", "event_id"),
    *("ends_at", "is_revoked"),
)
BROWSER_1 = ("sha256", "username", "sub", "auth_time")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pool.json"


@pytest.fixture
def port() -> int:
    """A port that is free, and stays the pool's address."""
    return free_port()


class Town:
    """Starts a pool on the state again and again."""

    def __init__(self, path: Path, port: int) -> None:
        self.path, self.port, self.clock = path, port, Clock()

    def pool(self, **options: Any) -> LocalUserPool:
        given = {"port": self.port, "state": self.path, "clock": self.clock, "key": KEY}
        return LocalUserPool(**(given | options))


@pytest.fixture
def town(path: Path, port: int) -> Town:
    return Town(path, port)


def refresh(pool: LocalUserPool, token: str | None) -> Any:
    return call(pool, "GetTokensFromRefreshToken", ClientId=pool.client_id, RefreshToken=token)


def error_of(response: Any) -> str:
    assert response.status_code == 400
    return str(response.json()["__type"])


def password_flow(pool: LocalUserPool, password: str) -> Any:
    return call(
        pool,
        "InitiateAuth",
        ClientId=pool.client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": "ada", "PASSWORD": password},
    )


def test_users_keys_and_sign_ins_outlive_the_pool(town: Town) -> None:
    with town.pool() as pool:
        ada = pool.add_user("ada", "a password", groups=["admins"], attributes={"custom:a": "b"})
        tokens, keys = pool.sign_in("ada"), pool.jwks()
    with town.pool() as pool:
        assert pool.jwks() == keys
        assert refresh(pool, tokens.refresh_token).status_code == 200
        shown = get_user(pool, str(tokens.access_token)).json()
        names = {one["Name"]: one["Value"] for one in shown["UserAttributes"]}
        assert names == {"sub": ada.sub, "custom:a": "b"}
        assert password_flow(pool, "a password").status_code == 200
        assert error_of(password_flow(pool, "another")) == "NotAuthorizedException"
        assert SRPClient(pool, "ada", "a password").sign_in().status_code == 200


def test_what_happened_over_http_is_kept_before_it_is_answered(town: Town) -> None:
    with town.pool() as pool:
        pool.add_user("ada")
        tokens = redeem(pool, code_for(pool)).json()
        kept = json.loads(town.path.read_text())
        assert [one["username"] for one in kept["sign_ins"]] == ["ada"]
    with town.pool() as pool:
        assert refresh(pool, tokens["refresh_token"]).status_code == 200


def test_a_browser_stays_signed_in_at_the_pools_pages(town: Town) -> None:
    cookies: dict[str, str] = {}
    with town.pool() as pool:
        pool.add_user("ada")
        pool.authorize(asked(pool), "ada", cookies=cookies)
    with town.pool() as pool:
        back = pool.authorize(asked(pool), None, cookies=cookies)
        assert back.startswith(APP)
        assert "code" in returned(back)


def test_what_was_revoked_stays_revoked(town: Town) -> None:
    with town.pool() as pool:
        pool.add_user("ada")
        one, other = pool.sign_in("ada"), pool.sign_in("ada")
        call(pool, "RevokeToken", ClientId=pool.client_id, Token=one.refresh_token)
    with town.pool() as pool:
        assert error_of(refresh(pool, one.refresh_token)) == "NotAuthorizedException"
        assert error_of(get_user(pool, str(one.access_token))) == "NotAuthorizedException"
        assert refresh(pool, other.refresh_token).status_code == 200
        call(pool, "GlobalSignOut", AccessToken=other.access_token)
    with town.pool() as pool:
        assert error_of(refresh(pool, other.refresh_token)) == "NotAuthorizedException"


def test_rotation_goes_on_after_a_restart(town: Town) -> None:
    with town.pool(rotate_refresh_tokens=True) as pool:
        pool.add_user("ada")
        old = pool.sign_in("ada").refresh_token
        new = refresh(pool, old).json()["AuthenticationResult"]["RefreshToken"]
    with town.pool(rotate_refresh_tokens=True) as pool:
        assert error_of(refresh(pool, old)) == "RefreshTokenReuseException"
        assert refresh(pool, new).status_code == 200


def test_the_issuer_type_and_the_replicas_regions_are_kept(town: Town) -> None:
    with town.pool(issuer_type="ORIGINAL") as pool:
        pool.add_user("ada")
        pool.replica("us-west-2")
        pool.issuer_type = "UPDATED"
    with town.pool() as pool:
        assert pool.issuer_type == "UPDATED"
        west = "https://cognito-idp.us-west-2.amazonaws.com/eu-west-1_Local0001"
        token = pool.mint("ada", "access", issuer=west)
        assert get_user(pool, token).status_code == 200
    with town.pool(issuer_type="ORIGINAL") as pool:  # what is asked for comes first
        assert pool.issuer_type == "ORIGINAL"


def test_a_file_of_version_1_is_read(town: Town) -> None:
    with town.pool() as pool:
        pool.add_user("ada")
        tokens = redeem(pool, code_for(pool)).json()
    state = json.loads(town.path.read_text())
    old = {name: state[name] for name in ("user_pool_id", "client_id", "users", "keys")}
    old |= {"sign_ins": [{name: one[name] for name in SIGN_IN_1} for one in state["sign_ins"]]}
    old |= {"browsers": [{name: one[name] for name in BROWSER_1} for one in state["browsers"]]}
    town.path.write_text(json.dumps({"amplify_mw_local_pool": 1, **old}))
    with town.pool() as pool:
        assert pool.issuer_type is None
        assert refresh(pool, tokens["refresh_token"]).status_code == 200
    assert json.loads(town.path.read_text())["amplify_mw_local_pool"] == 2


def test_rotated_keys_and_the_states_of_users_are_kept(town: Town) -> None:
    with town.pool() as pool:
        for name in ("ada", "grace", "alan"):
            pool.add_user(name)
        pool.add_user("Google_1", identity_provider="Google")
        pool.rotate_keys()
        pool.disable_user("ada")
        pool.delete_user("alan")
        keys = pool.jwks()
        assert len(keys["keys"]) == 2
    with town.pool() as pool:
        assert pool.jwks() == keys
        assert pool.usernames == ("ada", "grace", "Google_1")
        assert error_of(SRPClient(pool).sign_in()) == "NotAuthorizedException"


def test_the_file_holds_no_password_and_no_token_and_is_of_its_owner(town: Town) -> None:
    with town.pool() as pool:
        pool.add_user("ada", "a password of ada")
        tokens = redeem(pool, code_for(pool)).json()
        pool.sign_in("ada")
    text = town.path.read_text()
    assert "a password of ada" not in text
    assert not [name for name in ("refresh_token", "access_token") if tokens[name] in text]
    assert stat.S_IMODE(town.path.stat().st_mode) == 0o600
    assert sorted(os.listdir(town.path.parent)) == ["pool.json", "pool.json.lock"]


def test_a_password_that_is_not_known_has_to_be_written(town: Town) -> None:
    with town.pool() as pool:
        pool.add_user("ada", "a password")
    with town.pool() as pool:
        with pytest.raises(ValueError, match="password"):
            pool.authorize(asked(pool), "ada")
        assert returned(pool.authorize(asked(pool), "ada", "a password"))["code"]


def test_ensured_users_keep_their_sub_and_their_sign_ins(town: Town) -> None:
    with town.pool() as pool:
        ada = pool.ensure_user("ada", "one", groups=["admins"])
        tokens = pool.sign_in("ada")
    with town.pool() as pool:
        again = pool.ensure_user("ada", "two", attributes={"name": "Ada"})
        assert (again.sub, again.groups, dict(again.attributes)) == (ada.sub, (), {"name": "Ada"})
        assert refresh(pool, tokens.refresh_token).status_code == 200
        assert password_flow(pool, "two").status_code == 200


def test_sign_ins_of_more_than_30_days_ago_are_not_kept(town: Town) -> None:
    with town.pool() as pool:
        pool.add_user("ada")
        pool.sign_in("ada")
        town.clock.now += 31 * 24 * 3600
        pool.sign_in("ada")
    assert len(json.loads(town.path.read_text())["sign_ins"]) == 1


@pytest.mark.parametrize("content", [b"{", b"\0\xff", b'{"amplify_mw_local_pool": 1, "users": ['])
def test_a_damaged_file_is_kept_under_another_name(path: Path, content: bytes) -> None:
    for number in (1, 2):
        path.write_bytes(content)
        with pytest.raises(StateError, match="damaged") as caught:
            LocalUserPool(state=path)
        aside = path.with_name(f"pool.json.damaged-{number}")
        assert str(aside) in str(caught.value)
        assert aside.read_bytes() == content
        assert not path.exists()


def damage(state: Any, *keys: Any) -> None:
    *folders, last = keys
    for key in folders:
        state = state[key]
    state[last] = "?"


@pytest.mark.parametrize(
    "keys",
    [
        ("users",),
        ("users", 0),
        ("users", 0, "verifier"),
        ("users", 0, "status"),
        ("users", 0, "attributes"),
        ("keys",),
        ("keys", "keys", 0),
        ("keys", "oldest_published"),
        ("keys", "keys", 0, "n"),
        ("sign_ins", 0, "auth_time"),
        ("sign_ins", 0, "ends_at"),
        ("browsers",),
        ("issuer_type",),
        ("regions",),
        ("certificate",),
        ("certificate", "key"),
        ("certificate", "certificate"),
    ],
)
def test_a_document_with_a_damaged_part_is_kept_under_another_name(
    town: Town, keys: tuple[Any, ...]
) -> None:
    with town.pool(tls=True) as pool:
        pool.add_user("ada")
        pool.sign_in("ada")
    state = json.loads(town.path.read_text())
    damage(state, *keys)
    town.path.write_text(json.dumps(state))
    with pytest.raises(StateError, match="damaged"):
        town.pool()
    aside = town.path.with_name("pool.json.damaged-1")
    assert json.loads(aside.read_text()) == state
    town.pool().close()  # a new one, in the place that is free


@pytest.mark.parametrize("content", ["{}", "[]", "1", '{"name": "app"}'])
def test_another_programs_file_stays_as_it_is(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(StateError, match="not a state file"):
        LocalUserPool(state=path)
    assert path.read_text() == content


def test_a_later_versions_file_stays_as_it_is(path: Path) -> None:
    path.write_text('{"amplify_mw_local_pool": 3}')
    with pytest.raises(StateError, match="version 3"):
        LocalUserPool(state=path)
    assert path.exists()


def test_another_pools_file_stays_as_it_is(path: Path) -> None:
    LocalUserPool(state=path).close()
    before = path.read_bytes()
    with pytest.raises(StateError, match="another pool"):
        LocalUserPool(state=path, client_id="other")
    assert path.read_bytes() == before
    LocalUserPool(state=path).close()  # nobody has it open


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    path.touch()
    LocalUserPool(state=path).close()
    assert path.read_bytes()


def test_a_folder_is_no_state_file(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be read"):
        LocalUserPool(state=tmp_path)


def test_a_file_in_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot be opened"):
        LocalUserPool(state=tmp_path / "none" / "pool.json")


def test_one_pool_at_a_time(path: Path) -> None:
    with LocalUserPool(state=path), pytest.raises(StateError, match="in use"):
        LocalUserPool(state=path)
    LocalUserPool(state=path).close()


def test_another_process_cannot_use_the_file_meanwhile(path: Path) -> None:
    code = f"from amplify_mw.testing import LocalUserPool; LocalUserPool(state={str(path)!r})"
    with LocalUserPool(state=path):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "is in use by another local pool" in done.stderr


def test_a_port_that_is_taken_lets_go_of_the_file(path: Path) -> None:
    with LocalUserPool() as other:
        port = int(other.url.rpartition(":")[2])
        pool = LocalUserPool(state=path, port=port)
        with pytest.raises(OSError, match="in use"):
            pool.start()
    LocalUserPool(state=path).close()


def test_a_pool_started_again_reads_the_file_again(town: Town) -> None:
    pool = town.pool()
    with pool:
        pool.add_user("ada")
    with town.pool() as other:
        other.add_user("grace")
    with pool:
        assert pool.usernames == ("ada", "grace")


def test_a_state_that_cannot_be_written_is_told_once_and_refuses_nobody(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with town.pool() as pool:
        pool.add_user("ada")
        with monkeypatch.context() as disk:
            disk.setattr(os, "replace", full)
            tokens = pool.sign_in("ada")
            assert refresh(pool, tokens.refresh_token).status_code == 200
        assert [one.levelname for one in caplog.records] == ["WARNING"]
        assert "No space left" in caplog.text
        assert sorted(os.listdir(town.path.parent)) == ["pool.json", "pool.json.lock"]
        pool.sign_in("ada")
    with town.pool() as pool:
        assert refresh(pool, tokens.refresh_token).status_code == 200
