"""`sign_in`: Django's login page, which sends people to the sign-in routes.

    urlpatterns = [
        path("accounts/login/", sign_in, name="login"),  # where LOGIN_URL points by default
        path("admin/login/", sign_in),                   # before the admin's own
        path("admin/", admin.site.urls),
    ]

Rules:
- The way back (`next`) is a path of this site; the sign-in route checks it once more.
- A signed-in user who comes here lacks a right, and gets a 403: signing in again would not help.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.views.decorators.cache import never_cache

from ...engine.context import current_visit
from ...errors import ConfigurationError
from ...sessions.verdicts import SignedIn
from ...verbs.user import user_in
from .middleware import sign_in_url


def _sign_in(request: Any) -> Any:
    """Send a visitor to the site's sign-in page, and a signed-in user to a 403."""
    visit = current_visit()
    url = sign_in_url(request, visit)
    if url is None:
        raise ConfigurationError(
            "sign_in: there is no page to send visitors to; write AmplifyConfig(routes="
            "AuthRoutes(...)), or login_url='/login'"
        )
    user_in(visit)  # a NetworkError is a 503
    if isinstance(visit.verdict, SignedIn):
        raise PermissionDenied
    target = request.GET.get("next", "")
    query = urlencode({"next": target}) if target else ""
    joint = "&" if urlsplit(url).query else "?"
    return HttpResponseRedirect(url + (joint + query if query else ""))


sign_in: Callable[[Any], Any] = never_cache(_sign_in)
sign_in.login_required = False  # type: ignore[attr-defined]  # for LoginRequiredMiddleware
