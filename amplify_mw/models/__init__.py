"""The public values: users, tokens, sessions. They are frozen.

Those of `models.session` are imported from there: they are needed later, if at all.
"""

from .user import AuthUser as AuthUser
from .user import SignInDetails as SignInDetails
from .user import SignInFailure as SignInFailure
