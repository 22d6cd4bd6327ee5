"""Is this JWT ours, and whose is it? Key sets (`jwks`) and verification (`verifier`)."""
