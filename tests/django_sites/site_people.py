"""A site with a user model of its own, and `LoginRequiredMiddleware`; it asks at every request."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError
from django.http import HttpResponse
from django.test import Client, override_settings

from amplify_mw.testing import signed_in
from tests.django_sites.inside import Site, queries
from tests.django_sites.project.members.models import Person


def test_the_user_name_is_the_verified_address(site: Site, view: Any) -> None:
    view(lambda request: HttpResponse(f"{request.user.email} {request.user.tenant}"))
    assert site.get("/call", "ada").text == "ada@example.com none"
    assert isinstance(Person.objects.get(), get_user_model())


def test_an_address_that_is_not_verified_is_not_taken(view: Any) -> None:
    view(lambda request: HttpResponse(request.user.get_username()))
    with signed_in("eve", sub="1f", email="ada@example.com", attributes={"custom:tenant": "a1"}):
        assert Client().get("/call").content == b"1f"
    assert Person.objects.get().tenant == "a1"


def test_an_address_that_another_row_has(view: Any) -> None:
    other = Person.objects.create(email="ada@example.com", tenant="x")
    view(lambda request: HttpResponse(str(request.user.pk)))
    with signed_in("ada", sub="1f", email="ada@example.com", email_verified="true"):
        assert Client().get("/call").content != str(other.pk).encode()
    assert Person.objects.exclude(pk=other.pk).get().email == "ada@example.com-1f"


def test_a_long_name_is_cut_and_stays_unique(view: Any) -> None:
    view(lambda request: HttpResponse(request.user.get_username()))
    address = "a" * 60 + "@example.com"
    names = set()
    for sub in ("1f", "2f"):
        with signed_in("ada", sub=sub, email=address, email_verified="true"):
            names.add(Client().get("/call").content.decode())
    assert {name[-3:] for name in names} == {"-1f", "-2f"}
    assert all(len(name) == 40 for name in names)


def test_a_sub_that_is_longer_than_the_field(view: Any) -> None:
    view(lambda request: HttpResponse(request.user.get_username()))
    subs = ["0" * 60 + "1f", "0" * 60 + "2f"]
    names = set()
    for sub in subs:
        with signed_in("ada", sub=sub, email="a" * 50, email_verified="true"):
            names.add(Client().get("/call").content.decode())
    assert names == {sub[-40:] for sub in subs}


def test_a_name_shorter_than_the_sub_stays_unique(
    view: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Person._meta.get_field("email"), "max_length", 30)
    Person.objects.create(email="ada@example.com", tenant="x")
    view(lambda request: HttpResponse(request.user.get_username()))
    sub = "0a5b2c4d-1111-4222-8333-44445555666"
    names = []
    for last in "12":
        with signed_in("ada", sub=sub + last, email="ada@example.com", email_verified="true"):
            names.append(Client().get("/call").content.decode())
    assert names == [(sub + last)[-30:] for last in "12"]


def test_the_rows_own_method_has_the_rights_of_the_token(site: Site, view: Any) -> None:
    view(lambda request: HttpResponse(str(request.user.may_publish())))
    assert site.get("/call", "ada").text == "True"
    assert site.get("/call", "grace").text == "False"


def test_a_value_that_can_be_changed_is_not_shared(site: Site, view: Any) -> None:
    def changes(request: Any) -> HttpResponse:
        found = request.user.settings
        found["seen"] = True
        return HttpResponse(str(len(found)))

    view(changes)
    with override_settings(AMPLIFY_MW={}):
        for _ in range(2):
            assert site.get("/call", "ada").text == "1"
        view(lambda request: HttpResponse(str(request.user.settings)))
        assert site.get("/call", "ada").text == "{}"


def test_one_query_a_request_with_a_ttl_of_nothing(site: Site) -> None:
    site.get("/who", "ada")
    with queries(1):
        site.get("/who", "ada")
    Person.objects.update(is_active=False)
    assert site.get("/who", "ada").status_code == 302
    with queries(0):
        site.get("/accounts/login/")


def test_login_required_middleware(site: Site) -> None:
    assert site.get("/who", "ada").status_code == 200
    assert site.get("/who").headers["Location"].startswith("/accounts/login/?next=")
    assert site.get("/accounts/login/?next=/who").status_code == 302


def test_a_row_that_cannot_be_made_is_an_error(site: Site) -> None:
    def refuses(row: Any, claims: Any) -> None:
        row.tenant = None

    global hook
    hook = refuses
    mapping = {"new_row": f"{__name__}.hook", "groups": {}}
    with (
        override_settings(AMPLIFY_MW=mapping, DEBUG_PROPAGATE_EXCEPTIONS=True),
        pytest.raises(IntegrityError, match="tenant"),
    ):
        site.get("/who", "ada")
    assert not Person.objects.exists()


hook: Any = None
