"""A site without rows and without a database, with Django's guards."""

from typing import Any

from django.contrib.auth.mixins import LoginRequiredMixin, PermissionRequiredMixin
from django.contrib.auth.models import AnonymousUser
from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import override_settings
from django.views import View

from amplify_mw.integrations.django.users import TokenUser
from tests.django_sites.inside import Site


def test_login_required(site: Site) -> None:
    assert site.get("/mine", "ada").json["name"] == "ada"
    answer = site.get("/mine?a=1")
    assert answer.headers["Location"] == "/accounts/login/?next=/mine%3Fa%3D1"
    answer = site.get(answer.headers["Location"])
    assert answer.headers["Location"] == "/auth/sign-in?next=%2Fmine%3Fa%3D1"


def test_permission_required(site: Site) -> None:
    assert site.get("/edit").status_code == 302
    assert site.get("/edit", "ada").status_code == 200
    with override_settings(LOGIN_URL="/auth/sign-in"):
        assert site.get("/edit", "grace").status_code == 403
        assert site.aget("/edit", "grace").status_code == 403


def test_mixins(site: Site, view: Any) -> None:
    class Mine(LoginRequiredMixin, View):
        def get(self, request: Any) -> HttpResponse:
            return HttpResponse(request.user.username)

    class Edit(PermissionRequiredMixin, Mine):
        permission_required = "shelf.change_book"

    view(Mine.as_view())
    assert site.get("/call", "grace").text == "grace"
    assert site.get("/call").status_code == 302
    view(Edit.as_view())
    assert site.get("/call").status_code == 302
    assert site.get("/call", "grace").status_code == 403
    assert site.get("/call", "ada").text == "ada"


def test_templates(site: Site) -> None:
    assert site.get("/page", "ada").text == "Hello ada, edit, shelf"
    assert site.get("/page").text == "Hello, stranger"


def test_the_kinds_of_users(site: Site, view: Any) -> None:
    def kinds(request: Any) -> HttpResponse:
        is_theirs = isinstance(request.user, AnonymousUser)
        return HttpResponse(f"{is_theirs} {isinstance(request.user, TokenUser)}")

    view(kinds)
    assert site.get("/call").text == "True False"
    assert site.get("/call", "ada").text == "False True"


def test_another_backend_may_know_more(site: Site, view: Any) -> None:
    backends = [
        "django.contrib.auth.backends.ModelBackend",
        f"{__name__}.OwnersBackend",
    ]
    with override_settings(AUTHENTICATION_BACKENDS=backends):
        view(lambda request: HttpResponse(str(request.user.has_perm("shelf.change_book", "hers"))))
        assert site.get("/call", "grace").text == "True"
        assert site.get("/call", "root").text == "True"
        view(lambda request: HttpResponse(str(request.user.has_perm("shelf.change_book", "his"))))
        assert site.get("/call", "grace").text == "False"


class OwnersBackend:
    def has_perm(self, user: Any, perm: str, obj: Any = None) -> bool:
        return bool(obj == "hers" and user.username == "grace")


def test_checks() -> None:
    assert run_checks() == []
