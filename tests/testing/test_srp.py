"""USER_SRP_AUTH at the local pool, by a client written from RFC 5054 and RFC 5869 alone.

(The real Amplify signs in, too: `tests/amplify_js/test_local_pool.py`.)
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from amplify_mw.testing import LocalUserPool
from amplify_mw.testing.pool.srp import CHALLENGE_LIFETIME, Challenges, G, N, Verifier
from tests.testing.asking import Clock, call, get_user

PASSWORD = "correct horse"
WRONG = ("NotAuthorizedException", "Incorrect username or password.")


def twos_complement(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)


def hashed(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest())


@dataclass
class SRPClient:
    """A client of its own, which answers a challenge for a password."""

    pool: LocalUserPool
    username: str = "ada"
    password: str = PASSWORD
    secret: int = field(default_factory=lambda: secrets.randbits(1024))

    def begin(self, srp_a: str | None = None, **more: str) -> httpx2.Response:
        public = f"{pow(G, self.secret, N):x}" if srp_a is None else srp_a
        given = {"USERNAME": self.username, "SRP_A": public, **more}
        return call(
            self.pool,
            "InitiateAuth",
            ClientId=self.pool.client_id,
            AuthFlow="USER_SRP_AUTH",
            AuthParameters=given,
        )

    def responses(self, challenge: dict[str, str]) -> dict[str, str]:
        pool_name = self.pool.user_pool_id.split("_")[1]
        user = challenge["USER_ID_FOR_SRP"]
        salt, public = int(challenge["SALT"], 16), int(challenge["SRP_B"], 16)
        inner = hashlib.sha256(f"{pool_name}{user}:{self.password}".encode()).digest()
        x = hashed(twos_complement(salt), inner)
        u = hashed(twos_complement(pow(G, self.secret, N)), twos_complement(public))
        k = hashed(twos_complement(N), twos_complement(G))
        shared = pow(public - k * pow(G, x, N), self.secret + u * x, N)
        derived = HKDF(SHA256(), 16, twos_complement(u), b"Caldera Derived Key")
        key = derived.derive(twos_complement(shared))
        block, now = challenge["SECRET_BLOCK"], "Tue Nov 14 22:13:20 UTC 2023"
        message = f"{pool_name}{user}".encode() + base64.b64decode(block) + now.encode()
        signature = base64.b64encode(hmac.digest(key, message, "sha256")).decode()
        return {
            "USERNAME": user,
            "PASSWORD_CLAIM_SECRET_BLOCK": block,
            "TIMESTAMP": now,
            "PASSWORD_CLAIM_SIGNATURE": signature,
        }

    def respond(self, responses: Any, name: str = "PASSWORD_VERIFIER") -> httpx2.Response:
        return call(
            self.pool,
            "RespondToAuthChallenge",
            ClientId=self.pool.client_id,
            ChallengeName=name,
            ChallengeResponses=responses,
        )

    def sign_in(self) -> httpx2.Response:
        return self.respond(self.responses(challenge_of(self.begin())))


def challenge_of(response: httpx2.Response) -> dict[str, str]:
    body = response.json()
    assert (response.status_code, body["ChallengeName"]) == (200, "PASSWORD_VERIFIER")
    found: dict[str, str] = body["ChallengeParameters"]
    return found


def error_of(response: httpx2.Response) -> tuple[str, str]:
    assert response.status_code == 400
    return response.json()["__type"], response.json()["message"]


def test_a_proof_of_the_password_signs_in(pool: LocalUserPool) -> None:
    result = SRPClient(pool).sign_in().json()["AuthenticationResult"]
    assert get_user(pool, result["AccessToken"]).json()["Username"] == "ada"
    assert result["RefreshToken"]


@pytest.mark.parametrize(
    ("username", "password"),
    [("ada", "wrong"), ("ada", ""), ("nobody", PASSWORD), ("Google_17", PASSWORD)],
)
def test_whatever_is_wrong_the_answer_is_one(
    pool: LocalUserPool, username: str, password: str
) -> None:
    assert error_of(SRPClient(pool, username, password).sign_in()) == WRONG


@pytest.mark.parametrize("username", ["ada", "nobody", "Google_17"])
def test_the_salt_is_the_same_each_time_whether_there_is_a_user_or_not(
    pool: LocalUserPool, username: str
) -> None:
    one, other = (challenge_of(SRPClient(pool, username).begin()) for _ in range(2))
    assert one["SALT"] == other["SALT"]
    assert one["SRP_B"] != other["SRP_B"]
    assert set(one) == {"USERNAME", "USER_ID_FOR_SRP", "SALT", "SRP_B", "SECRET_BLOCK"}


@pytest.mark.parametrize("multiple", [0, 1, 2])
def test_a_public_value_that_makes_the_password_irrelevant_is_refused(
    pool: LocalUserPool, multiple: int
) -> None:
    code, _ = error_of(SRPClient(pool).begin(f"{multiple * N:x}"))
    assert code == "InvalidParameterException"


@pytest.mark.parametrize("srp_a", ["", "-1", "0x1", "xyz", "1_0", " 1", "f" * 800, "\u0661"])
def test_a_public_value_that_is_no_number_is_refused(pool: LocalUserPool, srp_a: str) -> None:
    assert error_of(SRPClient(pool).begin(srp_a))[0] == "InvalidParameterException"


def test_an_answer_counts_once(pool: LocalUserPool) -> None:
    client = SRPClient(pool)
    responses = client.responses(challenge_of(client.begin()))
    assert client.respond(responses).status_code == 200
    assert error_of(client.respond(responses)) == WRONG


def test_a_wrong_answer_uses_the_challenge_up(pool: LocalUserPool) -> None:
    client = SRPClient(pool)
    responses = client.responses(challenge_of(client.begin()))
    assert error_of(client.respond({**responses, "PASSWORD_CLAIM_SIGNATURE": "x"})) == WRONG
    assert error_of(client.respond(responses)) == WRONG


def test_a_challenge_ends_after_three_minutes(pool: LocalUserPool, clock: Clock) -> None:
    client = SRPClient(pool)
    responses = client.responses(challenge_of(client.begin()))
    clock.now += CHALLENGE_LIFETIME
    assert error_of(client.respond(responses)) == WRONG


def test_an_answer_is_for_the_user_of_the_challenge(pool: LocalUserPool) -> None:
    pool.add_user("grace", PASSWORD)
    client = SRPClient(pool)
    responses = client.responses(challenge_of(client.begin()))
    assert error_of(client.respond({**responses, "USERNAME": "grace"})) == WRONG


def test_a_password_changed_meanwhile_is_not_proven_by_the_old_one(pool: LocalUserPool) -> None:
    client = SRPClient(pool)
    responses = client.responses(challenge_of(client.begin()))
    pool.ensure_user("ada", "another horse")
    assert error_of(client.respond(responses)) == WRONG
    assert SRPClient(pool, "ada", "another horse").sign_in().status_code == 200


def test_the_state_of_the_user_is_told_to_who_knows_the_password(pool: LocalUserPool) -> None:
    pool.require_password_reset("ada")
    assert error_of(SRPClient(pool, password="wrong").sign_in()) == WRONG
    assert error_of(SRPClient(pool).sign_in())[0] == "PasswordResetRequiredException"


@pytest.mark.parametrize("responses", [None, "text", [], {}, {"USERNAME": 1}])
def test_an_answer_without_its_parts_is_refused(pool: LocalUserPool, responses: Any) -> None:
    assert SRPClient(pool).respond(responses).status_code == 400


def test_another_challenge_is_refused(pool: LocalUserPool) -> None:
    code, message = error_of(SRPClient(pool).respond({}, "SMS_MFA"))
    assert code == "InvalidParameterException"
    assert "SMS_MFA" in message


def test_a_client_with_a_secret_has_to_show_it_at_both_steps() -> None:
    with LocalUserPool(client_secret="s3cret") as pool:
        pool.add_user("ada")
        client = SRPClient(pool)
        assert error_of(client.begin())[0] == "NotAuthorizedException"
        digest = hmac.digest(b"s3cret", b"adalocal-client", "sha256")
        shown = {"SECRET_HASH": base64.b64encode(digest).decode()}
        responses = client.responses(challenge_of(client.begin(**shown)))
        assert error_of(client.respond(responses))[0] == "NotAuthorizedException"
        responses = client.responses(challenge_of(client.begin(**shown)))
        assert client.respond(responses | shown).status_code == 200


def test_challenges_are_bounded() -> None:
    challenges, verifier = Challenges(most=3), Verifier(1, 2)
    first = challenges.issue("ada", verifier, "3", 0.0)
    for _ in range(3):
        challenges.issue("ada", verifier, "3", 0.0)
    assert first.block not in challenges._waiting
    assert len(challenges._waiting) == 3


def test_nothing_shows_a_verifier() -> None:
    verifier = Verifier.of("Local0001ada", PASSWORD)
    assert str(verifier.value) not in repr(verifier)
    challenge = Challenges().issue("ada", verifier, "3", 0.0)
    assert str(challenge.secret) not in repr(challenge)
