"""All WSGI apps on one server: the header `X-Site` says which is meant, so that each is at `/`."""

from typing import Any

import bare_site
import bottle_site
import django_site
import falcon_site
import flask_site
import pyramid_site

SITES: dict[str, Any] = {
    "bare": flask_site.bare,
    "flask": flask_site.app,
    "flask-mounted": flask_site.mounted,
    "flask-extension": flask_site.extended,
    "bottle": bottle_site.app,
    "bottle-plugin": bottle_site.extended,
    "pyramid": pyramid_site.app,
    "falcon": falcon_site.wsgi,
    "django": django_site.wsgi,
    "flask-bearer": flask_site.bearer,
    "bottle-bearer": bottle_site.bearer,
    "pyramid-bearer": pyramid_site.bearer,
    "django-bearer": django_site.wsgi_bearer,
    "falcon-bearer": falcon_site.wsgi_bearer,
    "streams": bare_site.app,
}


def app(environ: Any, start_response: Any) -> Any:
    return SITES[environ["HTTP_X_SITE"]](environ, start_response)
