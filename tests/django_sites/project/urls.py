"""The pages of all sites."""

from django.apps import apps
from django.conf import settings
from django.contrib.auth.decorators import login_required, permission_required
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.urls import path

from amplify_mw import end_session, get_current_user
from amplify_mw.integrations.django.views import sign_in

HAS_ROWS = apps.is_installed("amplify_mw.integrations.django.rows")
SEEN = {}


def who(request):
    user = request.user
    return JsonResponse(
        {
            "pk": user.pk,
            "name": user.get_username(),
            "text": str(user),
            "in": user.is_authenticated,
            "anonymous": user.is_anonymous,
            "staff": user.is_staff,
            "superuser": user.is_superuser,
            "change": user.has_perm("shelf.change_book"),
        }
    )


async def awaited(request):
    user = await request.auser()
    return JsonResponse({"name": user.get_username(), "in": user.is_authenticated, "pk": user.pk})


def unasked(request):
    return HttpResponse("nothing")


def call(request):
    """Whatever a test has put there."""
    return SEEN["view"](request)


async def acall(request):
    return await SEEN["view"](request)


def page(request):
    text = (
        "{% if user.is_authenticated %}Hello {{ user }}{% else %}Hello, stranger{% endif %}"
        "{% if perms.shelf.change_book %}, edit{% endif %}{% if perms.shelf %}, shelf{% endif %}"
        "{% if 'shelf.delete_book' in perms %}, delete{% endif %}"
    )
    return HttpResponse(engines["django"].from_string(text).render({}, request))


def stream(request):
    def parts():
        yield str(request.user)
        yield "."
        yield str(request.user)

    return StreamingHttpResponse(parts())


async def astream(request):
    async def parts():
        yield str(request.user)
        yield "."
        yield str(request.user)

    return StreamingHttpResponse(parts())


def leave(request):
    before = request.user.is_authenticated
    end_session()
    return JsonResponse({"before": before, "after": request.user.is_authenticated})


def fail(request):
    get_current_user()
    raise RuntimeError("a fault")


urlpatterns = [
    path("who", who),
    path("async", awaited),
    path("unasked", unasked),
    path("call", call),
    path("acall", acall),
    path("page", page),
    path("stream", stream),
    path("astream", astream),
    path("leave", leave),
    path("fail", fail),
    path("raises", lambda request: HttpResponse(get_current_user().username)),
    path("mine", login_required(who)),
    path("edit", permission_required("shelf.change_book")(who)),
    path("edit-or-403", permission_required("shelf.change_book", raise_exception=True)(who)),
    path("delete", permission_required("shelf.delete_book")(who)),
    path("accounts/login/", sign_in, name="login"),
]

if apps.is_installed("django.contrib.admin"):
    from django.contrib import admin
    from django.contrib.auth.views import LogoutView

    from .shelf.models import Book

    if not admin.site.is_registered(Book):
        admin.site.register(Book)
    urlpatterns += [
        path("admin/login/", sign_in),
        path("admin/", admin.site.urls),
        path("logout/", LogoutView.as_view(), name="logout"),
    ]

if apps.is_installed("rest_framework"):
    from . import rest

    urlpatterns += rest.urlpatterns

if settings.DATABASES and HAS_ROWS:
    from . import ninjas

    urlpatterns += [path("ninja/", ninjas.api.urls)]
