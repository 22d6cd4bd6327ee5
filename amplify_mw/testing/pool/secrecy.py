"""How the local user pool keeps secrets of its own making, and compares any.

Rules:
- A random secret is kept as a hash. Nobody guesses 256 random bits, so a plain one will do.
- Comparing takes the same time, whatever is shown.
"""

import hashlib
import hmac


def fingerprint(secret: str) -> str:
    """The hash by which a random secret is kept (SHA-256)."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()


def is_same(one: str, other: str) -> bool:
    """Whether two secrets are the same, compared in constant time."""
    # JSON may hold lone surrogates, which plain UTF-8 has no bytes for.
    one_bytes, other_bytes = (text.encode(errors="surrogatepass") for text in (one, other))
    return hmac.compare_digest(one_bytes, other_bytes)
