"""Know the signed-in Amazon Cognito user anywhere in a Python web app, as AWS Amplify does in Node.

    from amplify_mw import get_current_user, fetch_user_attributes

The middlewares are `amplify_mw.wsgi.AmplifyWSGIMiddleware` and
`amplify_mw.asgi.AmplifyASGIMiddleware`; the awaited verbs are in `amplify_mw.aio`.
"""

from .config import AmplifyConfig as AmplifyConfig
from .config import UserPool as UserPool
from .context import carry as carry
from .context import fetch_auth_session as fetch_auth_session
from .context import fetch_user_attributes as fetch_user_attributes
from .context import get_current_user as get_current_user
from .cookies import CookiePolicy as CookiePolicy
from .errors import AuthError as AuthError
from .errors import BlockingCallError as BlockingCallError
from .errors import ConfigurationError as ConfigurationError
from .errors import ForbiddenException as ForbiddenException
from .errors import NetworkError as NetworkError
from .errors import NotAuthorizedException as NotAuthorizedException
from .errors import OutsideRequestError as OutsideRequestError
from .errors import TokenExpiredException as TokenExpiredException
from .errors import UserNotConfirmedException as UserNotConfirmedException
from .guards import ServerAuthManager as ServerAuthManager
from .guards import handle_server_auth as handle_server_auth
from .guards import require_auth as require_auth
from .models import AuthSession as AuthSession
from .models import AuthUser as AuthUser
from .models import Jwt as Jwt
from .models import SignInDetails as SignInDetails
from .models import Tokens as Tokens
from .sessions.token import TokenSession as TokenSession

getCurrentUser = get_current_user  # noqa: N816  # Amplify's own spelling
fetchUserAttributes = fetch_user_attributes  # noqa: N816
fetchAuthSession = fetch_auth_session  # noqa: N816

__version__ = "0.1.0"
