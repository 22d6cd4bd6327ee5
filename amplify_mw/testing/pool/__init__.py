"""A local Cognito user pool: its tokens, API, sign-in pages and faults."""

from .pool import LocalUser as LocalUser
from .pool import LocalUserPool as LocalUserPool
