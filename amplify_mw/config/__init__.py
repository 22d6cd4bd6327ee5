"""The configuration, checked when it is made."""

from .config import AmplifyConfig as AmplifyConfig
from .pool import UserPool as UserPool
from .routes import AuthRoutes as AuthRoutes
