"""Sign-in by a password that is never sent: Secure Remote Password, as Cognito and Amplify do it.

Rules:
- The protocol is SRP-6a (RFC 5054) in the group of 3,072 bits, with SHA-256. Like Cognito, numbers
  are hashed as Java writes them: big-endian, with a zero byte in front of a set sign bit.
- The session key comes from HKDF (RFC 5869) with Cognito's label, and has 16 bytes.
- The pool keeps a salt and a verifier for each user, no password. A guess at the password costs a
  modular exponentiation.
- A challenge is good for three minutes and for one answer, right or wrong. An unknown user gets one
  like any other, with the same salt each time, and a wrong answer at the end.
- Nothing here knows users, HTTP or locks.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from string import hexdigits
from typing import Final

N: Final[int] = int(  # RFC 5054, appendix A, 3072-bit group
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"
    "020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"
    "4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05"
    "98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB"
    "9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718"
    "3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33"
    "A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7"
    "ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864"
    "D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2"
    "08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF",
    16,
)
G: Final = 2
CHALLENGE_LIFETIME: Final = 180  # seconds, as Cognito's AuthSessionValidity is by default
_LABEL: Final = b"Caldera Derived Key\x01"  # with the counter of HKDF's only block
_KEY_BYTES: Final = 16
_SALT_BYTES: Final = 16
_SECRET_BYTES: Final = 256  # random bits in `b`, and bytes in a challenge's block


class BadProof(Exception):
    """The answer to a challenge proves no password."""


@dataclass(frozen=True, slots=True, repr=False)
class Verifier:
    """The proof of a user's password: `salt`, and `value` (RFC 5054 2.4)."""

    salt: int
    value: int

    @classmethod
    def of(cls, name: str, password: str, *, salt: int | None = None) -> "Verifier":
        """The verifier of a password. `name`: the pool's and the user's, as `full_name` says."""
        chosen = new_salt() if salt is None else salt
        return cls(chosen, pow(G, _private(chosen, name, password), N))

    def fits(self, name: str, password: str) -> bool:
        """Whether it is the verifier of this password."""
        own = Verifier.of(name, password, salt=self.salt).value
        return hmac.compare_digest(padded(own), padded(self.value))


@dataclass(frozen=True, slots=True, repr=False)
class Challenge:
    """A challenge to a client: its public value, its block, and the pool's secret exponent."""

    username: str
    verifier: Verifier
    client_public: int
    secret: int
    public: int
    block: str
    ends_at: float

    def check(self, name: str, timestamp: str, signature: str) -> None:
        """Check the signature of the answer. Raises `BadProof`."""
        u = _scramble(self.client_public, self.public)
        base = self.client_public * pow(self.verifier.value, u, N)
        key = session_key(pow(base, self.secret, N), u)
        signed = name.encode(errors="surrogatepass") + base64.b64decode(self.block)
        signed += timestamp.encode(errors="surrogatepass")
        right = base64.b64encode(hmac.digest(key, signed, "sha256"))
        if not hmac.compare_digest(right, signature.encode(errors="surrogatepass")):
            raise BadProof("the signature is of another password")


class Challenges:
    """The challenges that wait for an answer, at most so many, and the salts of unknown users."""

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._waiting: dict[str, Challenge] = {}  # by block, oldest first
        self._disguise: bytes = secrets.token_bytes(32)

    def issue(self, username: str, verifier: Verifier, client_public: str, now: float) -> Challenge:
        """A new challenge. `client_public`: the client's `SRP_A`. Raises `BadProof`."""
        a = _number(client_public)
        secret = secrets.randbits(_SECRET_BYTES)
        public = (_K * verifier.value + pow(G, secret, N)) % N
        # RFC 5054 2.5.4 and 2.6: with these values the password would not matter.
        if a % N == 0 or public == 0 or _scramble(a, public) == 0:
            raise BadProof("SRP_A is 0")
        block = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        challenge = Challenge(
            username, verifier, a, secret, public, block, now + CHALLENGE_LIFETIME
        )
        self._forget(now)
        self._waiting[block] = challenge
        return challenge

    def take(self, block: str, now: float) -> Challenge:
        """The challenge of a block, which is used up. Raises `BadProof`."""
        challenge = self._waiting.pop(block, None)
        if challenge is None or now >= challenge.ends_at:
            raise BadProof("the challenge is unknown, used or too old")
        return challenge

    def disguise(self, name: str) -> Verifier:
        """A verifier for an unknown user, the same each time, of no password."""
        message = name.encode(errors="surrogatepass")
        salt = hmac.digest(self._disguise, message, "sha256")[:_SALT_BYTES]
        value = hashlib.shake_256(self._disguise + message).digest(384)
        return Verifier(int.from_bytes(salt), int.from_bytes(value) % N)

    def _forget(self, now: float) -> None:
        """Forget the challenges that are too old or too many."""
        for block, challenge in list(self._waiting.items()):
            if now < challenge.ends_at and len(self._waiting) < self._most:
                return
            del self._waiting[block]


def full_name(user_pool_id: str, username: str) -> str:
    """The name in a verifier and a signature: the pool's without its Region, and the user's.

    >>> full_name("eu-west-1_Local0001", "ada")
    'Local0001ada'
    """
    return f"{user_pool_id.partition('_')[2]}{username}"


def new_salt() -> int:
    """A random salt."""
    return int.from_bytes(secrets.token_bytes(_SALT_BYTES))


def padded(number: int) -> bytes:
    """A number as Java's `BigInteger.toByteArray` writes it, if it is not negative.

    >>> padded(127).hex(), padded(200).hex(), padded(0).hex()
    ('7f', '00c8', '00')
    """
    return number.to_bytes(number.bit_length() // 8 + 1)


def session_key(shared: int, scramble: int) -> bytes:
    """The key both sides come to (RFC 5869, in Cognito's way)."""
    extracted = hmac.digest(padded(scramble), padded(shared), "sha256")
    return hmac.digest(extracted, _LABEL, "sha256")[:_KEY_BYTES]


def _private(salt: int, name: str, password: str) -> int:
    inner = hashlib.sha256(f"{name}:{password}".encode(errors="surrogatepass")).digest()
    return _hash(padded(salt), inner)


def _scramble(client_public: int, public: int) -> int:
    return _hash(padded(client_public), padded(public))


def _number(text: str) -> int:
    """A number in hexadecimal, no longer than the group's."""
    try:
        if len(text) > 2 * len(padded(N)) or not set(text) <= set(hexdigits):
            raise ValueError("no SRP_A")
        return int(text, 16)
    except ValueError as error:
        raise BadProof("SRP_A is no number of the group") from error


def _hash(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest())


_K: Final = _hash(padded(N), padded(G))
