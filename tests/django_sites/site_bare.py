"""A site without rows, a database and `django.contrib.auth`."""

import pickle
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import Client, override_settings

from amplify_mw.integrations.django.users import Nobody, TokenUser
from amplify_mw.testing import signed_in, signed_out
from tests.django_sites.inside import Site


@pytest.mark.parametrize("ask", ["get", "aget"])
def test_the_user_is_there_without_a_row(site: Site, ask: str) -> None:
    told = getattr(site, ask)("/who", "ada")
    told = told.json if ask == "get" else told.json()
    assert told | {"pk": 0} == {
        "pk": 0,
        "name": "ada",
        "text": "ada",
        "in": True,
        "anonymous": False,
        "staff": False,
        "superuser": False,
        "change": True,
    }
    assert len(told["pk"]) > 10


def test_nobody(site: Site) -> None:
    told = site.get("/who").json
    assert (told["in"], told["anonymous"], told["pk"], told["change"]) == (False, True, None, False)
    assert site.aget("/async").json()["in"] is False
    assert site.aget("/async", "ada").json()["name"] == "ada"


def test_its_names_are_those_of_the_token(site: Site, view: Any) -> None:
    def names(request: Any) -> HttpResponse:
        user = request.user
        assert isinstance(user, TokenUser)
        assert user == request.user
        assert len({user, request.user}) == 1
        assert user.has_group("editors")
        assert user.groups == ("editors",)
        assert (user.first_name, user.last_name, user.email) == (
            "Ada",
            "Lovelace",
            "ada@example.com",
        )
        with pytest.raises(TypeError, match=r"request\.user\.pk"):
            pickle.dumps(user)
        assert "ada" in repr(user._wrapped)
        return HttpResponse(user.get_full_name())

    view(names)
    assert site.get("/call", "ada").text == "Ada Lovelace"


def test_templates(site: Site) -> None:
    assert site.get("/page", "ada").text == "Hello ada, edit, shelf"
    assert site.get("/page", "root").text == "Hello root, edit, shelf, delete"
    assert site.get("/page").text == "Hello, stranger"


def test_guards(site: Site) -> None:
    """But for the redirect of a visitor: Django makes that with models of its own."""
    assert site.get("/mine", "ada").status_code == 200
    assert site.get("/edit", "ada").status_code == 200
    assert site.get("/edit-or-403", "grace").status_code == 403
    assert site.get("/accounts/login/?next=/mine").status_code == 302


def test_all_methods_for_rights(site: Site, view: Any) -> None:
    async def asks(request: Any) -> HttpResponse:
        user = request.user
        assert user.has_perms(["shelf.change_book"])
        assert not user.has_perms(["shelf.change_book", "shelf.delete_book"])
        with pytest.raises(TypeError, match="list"):
            user.has_perms("shelf.change_book")
        assert user.has_module_perms("shelf")
        assert not user.has_module_perms("she")
        assert not user.has_perm("shelf.change_book", object())
        assert user.get_user_permissions() == {"shelf.change_book"}
        assert user.get_all_permissions() == await user.aget_all_permissions()
        assert await user.ahas_perm("shelf.change_book")
        assert await user.ahas_perms(["shelf.change_book"])
        assert await user.ahas_module_perms("shelf")
        assert await user.aget_user_permissions() == await user.aget_group_permissions()
        return HttpResponse("fine")

    view(asks)
    mapping = {"groups": {"editors": {"permissions": ["shelf.change_book"]}}}
    with override_settings(AMPLIFY_MW=mapping):
        assert site.aget("/acall", "ada").text == "fine"


def test_a_group_of_another_pool_gives_nothing(site: Site) -> None:
    own = site.pool.user_pool_id
    for pool, expected in ((own, True), ("eu-west-1_Other", False)):
        mapping = {"groups": {"admins": {"is_superuser": True, "pool": pool}}}
        with override_settings(AMPLIFY_MW=mapping):
            assert site.get("/who", "root").json["superuser"] is expected


def test_streams_and_ended_sessions(site: Site) -> None:
    assert site.get("/stream", "ada").text == "ada.ada"
    assert site.aget("/astream", "ada").text == "ada.ada"
    assert site.get("/leave", "ada").json == {"before": True, "after": False}


def test_djangos_own_test_client() -> None:
    client = Client()
    with signed_in("ada", groups=["editors"]):
        assert client.get("/who").json()["change"] is True
    with signed_out():
        assert client.get("/who").json()["in"] is False


def test_nobody_has_no_rights() -> None:
    nobody = Nobody()
    assert not nobody.has_perms(["a.b"])
    assert not nobody.has_module_perms("a")
    assert nobody == Nobody()
    assert str(nobody) == "AnonymousUser"
    assert hash(nobody) == hash(Nobody())


def test_checks() -> None:
    assert run_checks() == []
    assert not apps.is_installed("django.contrib.auth")
    named = {"groups": {"editors": {"groups": ["Readers"]}}}
    with override_settings(AMPLIFY_MW=named):
        assert [each.id for each in run_checks()] == ["amplify_mw.E006"]
