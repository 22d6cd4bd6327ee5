"""The signing keys of local user pools: how many are made, and who shares them."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from amplify_mw import get_current_user
from amplify_mw.testing import LocalUserPool, new_signing_key
from amplify_mw.testing.pool import signing
from amplify_mw.wsgi import AmplifyWSGIMiddleware
from tests.patience import PATIENCE
from tests.shells import Ask, WSGIShell
from tests.testing.asking import get_user

ISSUER = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_Local0001"
EXAMPLE = new_signing_key()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RSAKey]]:
    """The keys that were made since, as in a process that has made none so far."""
    keys: list[RSAKey] = []
    generate = RSAKey.generate_key

    def noted(*args: Any, **kwargs: Any) -> RSAKey:
        keys.append(generate(*args, **kwargs))
        return keys[-1]

    monkeypatch.setattr(signing, "_shared_keys", {})
    monkeypatch.setattr(RSAKey, "generate_key", noted)
    return keys


def kids(pool: LocalUserPool) -> list[str]:
    return [key["kid"] for key in pool.jwks()["keys"]]


def use(pool: LocalUserPool) -> None:
    """Do everything that takes a key."""
    pool.add_user("ada")
    pool.sign_in("ada")
    pool.mint("ada", key="unknown")
    pool.rotate_keys()
    pool.sign_in("ada")


def test_a_pool_that_signs_nothing_makes_no_key(made: list[RSAKey]) -> None:
    with LocalUserPool(issuer=ISSUER) as pool:
        pool.add_user("ada")
        pool.config()

    assert made == []


def test_the_first_token_makes_one_key(made: list[RSAKey]) -> None:
    pool = LocalUserPool(issuer=ISSUER)
    pool.add_user("ada")
    pool.sign_in("ada")
    pool.sign_in("ada")

    assert kids(pool) == [key.kid for key in made]
    assert len(made) == 1


def test_a_later_pool_makes_no_key_at_all(made: list[RSAKey]) -> None:
    first = LocalUserPool(issuer=ISSUER)
    use(first)
    before = len(made)
    later = LocalUserPool(issuer="https://elsewhere.example")
    use(later)

    assert before == 3  # the first one, the unknown one, and the one it was rotated to
    assert len(made) == before
    assert kids(later) == kids(first)


def test_a_rotation_of_one_pool_is_none_of_another(made: list[RSAKey]) -> None:
    first, other = LocalUserPool(issuer=ISSUER), LocalUserPool(issuer=ISSUER)
    before = kids(other)
    first.rotate_keys(keep_old=False)

    assert kids(other) == before
    assert kids(first) != before


def test_every_rotation_brings_a_key_that_the_pool_never_had() -> None:
    pool = LocalUserPool(issuer=ISSUER)
    seen = [*kids(pool), *(pool.rotate_keys(keep_old=bool(turn % 2)) for turn in range(3))]

    assert len(set(seen)) == 4
    assert kids(pool) == [seen[3]]


def test_a_given_key_signs(made: list[RSAKey]) -> None:
    pool = LocalUserPool(issuer=ISSUER, key=EXAMPLE)
    pool.add_user("ada")
    pool.sign_in("ada")

    assert kids(pool) == [EXAMPLE.kid]
    assert made == []


def test_a_given_key_without_a_name_is_given_one() -> None:
    bare = RSAKey.import_key(EXAMPLE.private_key)

    assert kids(LocalUserPool(issuer=ISSUER, key=bare)) == [bare.thumbprint()]


def test_a_pool_with_a_key_of_its_own_shares_none_of_its_later_ones() -> None:
    shared = LocalUserPool(issuer=ISSUER)
    own = LocalUserPool(issuer=ISSUER, key=EXAMPLE)

    assert own.rotate_keys() != shared.rotate_keys()


def status(pool: LocalUserPool, token: str) -> int:
    """How a middleware of that pool answers a token."""
    shell = WSGIShell()
    app = AmplifyWSGIMiddleware(shell.app(lambda: get_current_user().username), pool.config())
    return shell.send(app, Ask(cookie=token)).status


@pytest.mark.parametrize("user_pool_id", ["eu-west-1_Local0001", "eu-west-1_Other0001"])
def test_pools_that_share_a_key_refuse_each_others_tokens(
    pool: LocalUserPool, user_pool_id: str
) -> None:
    with LocalUserPool(user_pool_id=user_pool_id) as other:
        other.add_user("ada")
        foreign = other.mint("ada")

        assert kids(other) == kids(pool)
        assert status(pool, foreign) == 401
        assert status(other, pool.mint("ada")) == 401
        assert status(other, foreign) == 200


def test_pools_of_one_issuer_are_told_apart_by_a_key() -> None:
    with LocalUserPool(issuer=ISSUER) as first, LocalUserPool(issuer=ISSUER, key=EXAMPLE) as second:
        for pool in (first, second):
            pool.add_user("ada", attributes={"sub": "one and the same"})
        token = second.sign_in("ada").access_token

        assert get_user(second, token).status_code == 200
        assert get_user(first, token).status_code == 400


def test_an_operation_refuses_a_token_of_another_pool(pool: LocalUserPool) -> None:
    with LocalUserPool() as other:
        other.add_user("ada")
        token = other.sign_in("ada").access_token

        assert pool.issuer != other.issuer
        assert get_user(other, token).status_code == 200
        assert get_user(pool, token).status_code == 400


def test_threads_that_come_first_at_once_share_one_key(
    made: list[RSAKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    barrier = Barrier(2)
    make: Callable[[], RSAKey] = signing.new_signing_key

    def together() -> RSAKey:
        barrier.wait(PATIENCE)
        return make()

    monkeypatch.setattr(signing, "new_signing_key", together)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(kids, [LocalUserPool(issuer=ISSUER) for _ in range(2)])

    assert first == second
    assert len(made) == 2  # one of them in vain


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_amid_the_making_of_a_key_blocks_nobody(
    made: list[RSAKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = Barrier(2), Barrier(2)
    make: Callable[[], RSAKey] = signing.new_signing_key

    def slow() -> RSAKey:
        begun.wait(PATIENCE)
        over.wait(PATIENCE)
        return make()

    with ThreadPoolExecutor(1) as threads:
        with monkeypatch.context() as patched:
            patched.setattr(signing, "new_signing_key", slow)
            waiting = threads.submit(kids, LocalUserPool(issuer=ISSUER))
            begun.wait(PATIENCE)
        child = os.fork()
        if child == 0:
            os._exit(0 if len(kids(LocalUserPool(issuer=ISSUER))) == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0
        over.wait(PATIENCE)

    assert waiting.result() == kids(LocalUserPool(issuer=ISSUER))
