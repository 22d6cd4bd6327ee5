"""Django: `request.user`, permissions and the admin, under a WSGI or an ASGI handler.

    MIDDLEWARE = [..., "amplify_mw.integrations.django.UserMiddleware"]
    INSTALLED_APPS = [..., "amplify_mw.integrations.django"]        # checks, and no row
    INSTALLED_APPS = [..., "amplify_mw.integrations.django.rows"]   # a row for each user
    AUTHENTICATION_BACKENDS = ["amplify_mw.integrations.django.backend.CognitoBackend"]
    AMPLIFY_MW = {"groups": {"editors": {"permissions": ["blog.change_post"]}}}

The modules: `views` (`sign_in`), and for other packages `rest_framework`, `ninja`, `channels`.

Rules:
- The middleware of `amplify_mw.wsgi` or `amplify_mw.asgi` is around the `application`. What is here
  asks its visit, and reads no cookie and no header.
- Nothing is asked until something reads `request.user`. Then the user is settled for the request,
  as Django's own is.
- Rights come from the token of this request. None is ever written into a row.
- Without a middleware around the app, reading the user is an error.
"""

from .middleware import AuthErrorMiddleware as AuthErrorMiddleware
from .middleware import UserMiddleware as UserMiddleware
