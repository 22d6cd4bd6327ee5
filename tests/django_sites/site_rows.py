"""A site with rows, the admin, Django REST framework, and Django's own local users beside."""

import asyncio
import copy
import pickle
import threading
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.contrib import auth
from django.contrib.admin.models import LogEntry
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core import checks
from django.core.cache import caches
from django.core.checks import run_checks
from django.db import connection
from django.http import HttpResponse, JsonResponse
from django.test import Client, TestCase, override_settings
from django.views.decorators.cache import cache_page
from starlette.testclient import TestClient

from amplify_mw import (
    AuthRoutes,
    CookiePolicy,
    OutsideRequestError,
    StoredSession,
    get_current_user,
    user_or_none,
)
from amplify_mw.engine.context import current_visit
from amplify_mw.integrations.django.present import Found, UserNow
from amplify_mw.integrations.django.rows import known, making
from amplify_mw.integrations.django.rows.models import CognitoUser
from amplify_mw.stores import MemoryStore
from amplify_mw.testing import Down, LocalUserPool, signed_in, signed_out
from tests.django_sites.inside import HOST, Site, queries
from tests.django_sites.project.shelf.models import Book

# Who is there.


@pytest.mark.parametrize("ask", ["get", "aget"])
def test_the_user_is_there_with_a_row(site: Site, ask: str) -> None:
    told = getattr(site, ask)("/who", "ada")
    told = told.json if ask == "get" else told.json()
    row = User.objects.get()
    assert told == {
        "pk": row.pk,
        "name": "ada",
        "text": "ada",
        "in": True,
        "anonymous": False,
        "staff": False,
        "superuser": False,
        "change": True,
    }
    assert (row.email, row.first_name, row.last_name) == ("ada@example.com", "Ada", "Lovelace")
    assert not row.has_usable_password()
    assert not row.user_permissions.exists()
    assert not row.groups.exists()
    link = CognitoUser.objects.get()
    assert (link.pool, link.user) == (site.pool.user_pool_id, row)


@pytest.mark.parametrize("ask", ["get", "aget"])
def test_nobody_is_anonymous(site: Site, ask: str) -> None:
    told = getattr(site, ask)("/who")
    told = told.json if ask == "get" else told.json()
    assert (told["in"], told["anonymous"], told["pk"], told["change"]) == (False, True, None, False)
    assert not User.objects.exists()


def test_an_async_view_awaits_the_user(site: Site) -> None:
    assert site.aget("/async", "ada").json()["name"] == "ada"
    assert site.aget("/async").json() == {"name": "", "in": False, "pk": None}
    assert site.get("/async", "ada").json["name"] == "ada"


def test_a_row_is_made_once(site: Site) -> None:
    keys = {site.get("/who", "ada").json["pk"] for _ in range(3)}
    keys.add(site.aget("/async", "ada").json()["pk"])
    known.forget_all()
    keys.add(site.get("/who", "ada").json["pk"])
    assert len(keys) == 1 == User.objects.count()


def test_a_known_user_costs_no_query(site: Site, view: Any) -> None:
    def reads(request: Any) -> HttpResponse:
        user = request.user
        assert isinstance(user, User)
        assert user.email == "ada@example.com"
        assert user.get_full_name() == "Ada Lovelace"
        assert user.has_perm("shelf.change_book")
        assert user == request.user
        assert user.is_active
        assert hash(user) == hash(user.pk)
        return HttpResponse(str(user))

    view(reads)
    site.get("/page", "ada")
    ours = settings.AUTHENTICATION_BACKENDS[1:]  # ModelBackend would ask for the row's own rights
    with override_settings(AUTHENTICATION_BACKENDS=ours), queries(0):
        assert site.get("/call", "ada").text == "ada"
        assert site.get("/mine", "ada").status_code == 200
        assert site.get("/page", "ada").text == "Hello ada, edit, shelf"


def test_a_user_nobody_asks_for_costs_no_query_and_no_row(site: Site) -> None:
    with queries(0):
        answer = site.get("/unasked", "ada")
    assert answer.text == "nothing"
    assert "Vary" not in answer.headers
    assert not User.objects.exists()
    assert "Cookie" in site.get("/who", "ada").headers["Vary"]


def test_queries_and_foreign_keys_take_the_user_as_a_row(site: Site, view: Any) -> None:
    def lends(request: Any) -> HttpResponse:
        Book.objects.create(title="Notes", owner=request.user)
        owned = Book.objects.filter(owner=request.user)
        return HttpResponse(owned.get().title)

    view(lends)
    site.get("/who", "ada")
    with queries(2):  # the INSERT, and the SELECT: the user's own row is not fetched
        assert site.get("/call", "ada").text == "Notes"
    assert Book.objects.get().owner.username == "ada"
    assert Book.objects.get().owner == User.objects.get()


def test_a_change_is_saved_to_the_whole_row(site: Site, view: Any) -> None:
    def renames(request: Any) -> HttpResponse:
        request.user.first_name = "Augusta"
        request.user.save()
        return HttpResponse(request.user.first_name)

    view(renames)
    site.get("/who", "ada")
    User.objects.update(last_name="King")  # as another process would: no signal
    assert site.get("/call", "ada").text == "Augusta"
    row = User.objects.get()
    assert (row.first_name, row.last_name) == ("Augusta", "King")
    view(lambda request: HttpResponse(request.user.get_full_name()))
    assert site.get("/call", "ada").text == "Augusta King"


def test_an_async_view_saves_the_row(site: Site, view: Any) -> None:
    async def renames(request: Any) -> HttpResponse:
        user = await request.auser()
        email = user.email
        user = await User.objects.aget(pk=user.pk)
        user.first_name = "Augusta"
        await user.asave()
        other = await request.auser()
        await other.arefresh_from_db()
        return HttpResponse(f"{email} {other.first_name} {await other.ahas_perm('shelf.x')}")

    view(renames)
    for _ in range(2):
        answer = site.aget("/acall", "ada")
        assert answer.text == "ada@example.com Augusta False"


def test_a_row_is_not_looked_for_after_a_while_only(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from amplify_mw.integrations.django import remembering

    now = remembering.clock()
    monkeypatch.setattr(remembering, "clock", lambda: now)
    site.get("/who", "ada")
    User.objects.update(is_active=False)  # as another process would
    assert site.get("/who", "ada").json["in"] is True
    now += 61
    assert site.get("/who", "ada").json["in"] is False


def test_a_row_deactivated_here_is_nobody_at_once(site: Site) -> None:
    site.get("/who", "ada")
    row = User.objects.get()
    row.is_active = False
    row.save()
    assert site.get("/who", "ada").json["in"] is False
    assert site.get("/who", "ada").json["change"] is False
    assert site.get("/mine", "ada").status_code == 403  # no circle
    assert User.objects.count() == 1


def test_a_row_deactivated_by_a_model_of_the_same_table_is_nobody_at_once(site: Site) -> None:
    class Clerk(User):
        class Meta:
            app_label = "auth"
            proxy = True

    assert site.get("/who", "ada").json["in"]
    row = Clerk.objects.get()
    row.is_active = False
    row.save()
    assert not site.get("/who", "ada").json["in"]


def test_a_change_counts_once_it_is_committed(site: Site) -> None:
    """Meanwhile another request reads the old state."""
    from django.db import transaction

    site.get("/who", "ada")
    cookie = site.cookie("ada")
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(site.get("/who", **cookie).json["in"])
        finally:
            connection.close()

    row = User.objects.get()
    with transaction.atomic():
        row.is_active = False
        known.forget(row, "default")  # the signal, as if it came before the write
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        row.save()
    assert found == [True]
    assert site.get("/who", **cookie).json["in"] is False


def test_a_deleted_row_is_made_again(site: Site, view: Any) -> None:
    first = site.get("/who", "ada").json["pk"]
    User.objects.get().delete()
    again = site.get("/who", "ada").json["pk"]
    assert User.objects.get().pk == again
    with connection.cursor() as cursor:  # as another process would
        cursor.execute("DELETE FROM amplify_mw_rows_cognitouser")
        cursor.execute("DELETE FROM auth_user")
    view(lambda request: HttpResponse(f"{request.user.groups.count()} {request.user.pk}"))
    text = site.get("/call", "ada").text
    assert text == f"0 {User.objects.get().pk}"
    assert first is not None


def test_a_local_user_of_the_same_name_is_somebody_else(site: Site) -> None:
    local = User.objects.create_user("ada", "ada@example.com", "a password", is_superuser=True)
    told = site.get("/who", "ada").json
    assert told["pk"] != local.pk
    assert told["superuser"] is False
    assert told["name"].startswith("ada-")
    assert User.objects.count() == 2
    local.refresh_from_db()
    assert local.check_password("a password")


def test_an_address_that_only_one_row_may_have_stays_with_its_row(site: Site) -> None:
    local = User.objects.create_user("ada", "ada@example.com", "a password", is_superuser=True)
    connection.cursor().execute("CREATE UNIQUE INDEX one_address ON auth_user (email)")
    try:
        told = site.get("/who", "ada").json
    finally:
        connection.cursor().execute("DROP INDEX one_address")
    row = User.objects.exclude(pk=local.pk).get()
    assert (told["pk"], told["superuser"], row.email) == (row.pk, False, "")
    assert row.first_name == "Ada"
    local.refresh_from_db()
    assert (local.email, local.is_superuser) == ("ada@example.com", True)


def test_two_pools_may_have_the_same_sub(site: Site, view: Any) -> None:
    view(lambda request: HttpResponse(str(request.user.pk)))
    client = Client()
    found = set()

    with signed_in("ada", sub="1"):
        found.add(client.get("/call").content)
    with signed_in("ada", sub="1"):
        visit = current_visit()
        visit.verdict = replace(visit.verdict, pool="eu-west-1_Other")  # type: ignore[type-var]
        found.add(client.get("/call").content)
    assert len(found) == 2 == User.objects.count()


def test_many_threads_make_one_row(site: Site) -> None:
    cookie = site.cookie("ada")
    asked = threading.Barrier(6)
    found: list[Any] = []

    def ask() -> None:
        asked.wait()
        try:
            found.append(site.wsgi.get("/who", base_url=HOST, headers=cookie).json["pk"])
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert set(found) == {User.objects.get().pk}
    assert CognitoUser.objects.count() == 1


def test_who_comes_second_takes_back_its_own_row(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process makes the row between the look and the making."""
    site.get("/who", "ada")
    known.forget_all()
    find, looks = making._find, [0]

    def too_early(verdict: Any) -> Any:
        looks[0] += 1
        return None if looks[0] == 1 else find(verdict)

    monkeypatch.setattr(making, "_find", too_early)
    assert site.get("/who", "ada").json["pk"] == User.objects.get().pk
    assert looks[0] == 2


def test_a_row_of_a_transaction_that_is_taken_back_is_not_remembered(site: Site, view: Any) -> None:
    from django.db import transaction

    def fails(request: Any) -> HttpResponse:
        with transaction.atomic():
            _ = request.user.pk
            raise RuntimeError("a fault")

    view(fails)
    assert site.get("/call", "ada").status_code == 500
    assert not User.objects.exists()
    assert site.get("/who", "ada").json["pk"] == User.objects.get().pk


def test_copies_and_pickles_are_rows_without_rights(site: Site, view: Any) -> None:
    def copies(request: Any) -> JsonResponse:
        shallow = copy.copy(request.user)
        deep = copy.deepcopy(request.user)
        again = pickle.loads(pickle.dumps(request.user))
        assert {type(shallow).__name__, type(deep).__name__} == {"KnownUser"}
        return JsonResponse(
            [str(again), type(again).__name__, again.has_perm("shelf.change_book")], safe=False
        )

    view(copies)
    assert site.get("/call", "ada").json == ["ada", "User", False]


# Rights.


def test_rights_are_those_of_the_token(site: Site) -> None:
    assert site.get("/who", "root").json["superuser"] is True
    assert site.get("/edit", "ada").status_code == 200
    site.pool.add_user("lovelace", groups=["editors"])
    cookie = site.cookie("lovelace")
    assert site.get("/edit", **cookie).status_code == 200
    site.pool.ensure_user("lovelace")  # in no group now
    cookie = site.cookie("lovelace")
    assert site.get("/edit-or-403", **cookie).status_code == 403
    assert site.get("/page", **cookie).text == "Hello lovelace"


def test_djangos_groups_count_with_their_permissions(site: Site) -> None:
    delete = Permission.objects.get(codename="delete_book")
    Group.objects.create(name="Readers").permissions.add(delete)
    assert site.get("/page", "ada").text == "Hello ada, edit, shelf, delete"
    assert site.get("/delete", "ada").status_code == 200
    with queries(0):
        assert site.get("/delete", "ada").status_code == 200
    assert site.get("/edit-or-403", "grace").status_code == 403
    assert not User.objects.get(username="ada").groups.exists()


def test_a_group_that_is_not_mapped_gives_nothing(site: Site) -> None:
    Group.objects.create(name="editors").permissions.add(*Permission.objects.all())
    assert "delete" not in site.get("/page", "ada").text


def test_rights_in_a_row_count_as_the_backends_say(site: Site) -> None:
    site.get("/who", "grace")
    row = User.objects.get()
    row.user_permissions.add(Permission.objects.get(codename="change_book"))
    assert site.get("/edit", "grace").status_code == 200  # ModelBackend is listed
    with override_settings(AUTHENTICATION_BACKENDS=[settings.AUTHENTICATION_BACKENDS[1]]):
        assert site.get("/edit-or-403", "grace").status_code == 403


def test_flags_of_a_row_never_count(site: Site, view: Any) -> None:
    site.get("/who", "grace")
    User.objects.update(is_staff=True, is_superuser=True)
    known.forget_all()
    told = site.get("/who", "grace").json
    assert (told["staff"], told["superuser"], told["change"]) == (False, False, False)
    assert site.get("/admin/", "grace").status_code == 302
    view(lambda request: HttpResponse(str(User.has_perm(request.user, "shelf.delete_book"))))
    assert site.get("/call", "grace").text == "False"

    def by_its_own_method(request: Any) -> HttpResponse:
        _ = request.user.groups  # fetches the row
        return HttpResponse(str(request.user.__reduce__()[1][0].has_perm("shelf.delete_book")))

    view(by_its_own_method)
    assert site.get("/call", "grace").text == "False"


def test_flags_are_never_written_into_a_row(site: Site, view: Any) -> None:
    def saves(request: Any) -> HttpResponse:
        request.user.first_name = "Root"
        request.user.save()
        return HttpResponse(str(request.user.is_superuser))

    view(saves)
    assert site.get("/call", "root").text == "True"
    row = User.objects.get()
    assert (row.is_staff, row.is_superuser, row.first_name) == (False, False, "Root")


@pytest.mark.parametrize("fails", [False, True])
def test_flags_of_a_row_are_not_lost_when_its_user_saves(
    site: Site, view: Any, fails: bool
) -> None:
    site.get("/who", "grace")
    User.objects.update(is_staff=True, is_superuser=True)
    known.forget_all()

    def saves(request: Any) -> HttpResponse:
        request.user.first_name = "Grace"
        if fails:
            with pytest.raises(TypeError):
                request.user.save(no_such="option")
        else:
            request.user.save()
        row = request.user.__reduce__()[1][0]
        return HttpResponse(f"{request.user.is_staff} {row.is_superuser}")

    view(saves)
    assert site.get("/call", "grace").text == "False False"
    row = User.objects.get()
    assert (row.is_staff, row.is_superuser) == (True, True)
    assert fails or row.first_name == "Grace"


def test_another_row_has_no_rights_of_the_visitor(site: Site, view: Any) -> None:
    site.get("/who", "ada")

    def another(request: Any) -> HttpResponse:
        assert request.user.has_perm("shelf.change_book")
        return HttpResponse(str(User.objects.get(pk=request.user.pk).has_perm("shelf.change_book")))

    view(another)
    assert site.get("/call", "ada").text == "False"


# Guards, and the sign-in page.


def test_login_required_leads_to_the_sign_in_route(site: Site) -> None:
    answer = site.get("/mine?a=1")
    assert answer.headers["Location"] == "/auth/sign-in?next=/mine%3Fa%3D1"
    assert site.get("/mine", "ada").status_code == 200


def test_a_user_without_the_permission_goes_not_in_circles(site: Site) -> None:
    assert site.get("/edit").headers["Location"] == "/auth/sign-in?next=/edit"
    assert site.get("/edit", "grace").status_code == 403
    assert site.get("/edit?next=%2Fa", "grace").status_code == 403
    with override_settings(LOGIN_URL="login"):
        first = site.get("/edit", "grace")
        assert first.headers["Location"] == "/accounts/login/?next=/edit"
        assert site.get(first.headers["Location"], "grace").status_code == 403


@pytest.mark.parametrize("url", ["login", "/accounts/login/"])
def test_login_url_may_be_a_name_or_absent(site: Site, url: str) -> None:
    with override_settings(LOGIN_URL=url):
        answer = site.get("/mine?a=%C3%A9")
        answer = site.get(answer.headers["Location"])
        assert answer.headers["Location"] == "/auth/sign-in?next=%2Fmine%3Fa%3D%25C3%25A9"
        assert "no-store" in answer.headers["Cache-Control"]


def test_the_sign_in_page_goes_below_a_mount(make: Any) -> None:
    site = make(mount="/shop", login_url="/auth/sign-in")
    answer = site.wsgi.get("/accounts/login/?next=/shop/mine", base_url=HOST + "/shop", headers={})
    assert answer.headers["Location"] == "/shop/auth/sign-in?next=%2Fshop%2Fmine"


def test_a_sign_in_comes_back_to_the_page(cognito: LocalUserPool, make: Any) -> None:
    from tests.docs.visitor import Visitor, next_page

    origin = "https://localhost"
    routes = AuthRoutes(origin=origin, keys=["q0v1m5Ztg7r2cXyJk3nB8dWfHs6uEaLpTiOoYxUzVwM"])
    site = make(session=StoredSession(MemoryStore()), routes=routes, login_url=None)
    browser = Visitor(TestClient(site.asgi.app, origin), origin)
    assert next_page(browser.sign_in(cognito, "/mine?a=1", "ada")) == "/mine?a=1"
    assert browser.get("/mine").json()["name"] == "ada"


# Sign-out, and Django's own sign-in.


def cookies(answer: Any) -> dict[str, str]:
    """The lines of the cookies that an answer sets, by name."""
    lines = [line.strip() for line in answer.headers.getlist("Set-Cookie")]
    return {line.partition("=")[0]: line for line in lines}


def cleared(answer: Any) -> bool:
    return cookies(answer)["amplify-session"].startswith("amplify-session=; Expires=Thu, 01 Jan 19")


def test_djangos_logout_ends_the_session(site: Site, view: Any) -> None:
    def leaves(request: Any) -> HttpResponse:
        auth.logout(request)
        return HttpResponse(str(request.user.is_authenticated))

    view(leaves)
    answer = site.post("/call", "ada", **{"X-CSRFToken": "a"})
    assert answer.status_code == 403  # Django's own protection of forms
    answer = site.get("/call", "ada")
    assert answer.text == "False"
    assert cleared(answer)


def test_an_awaited_logout_ends_the_session(site: Site, view: Any) -> None:
    async def leaves(request: Any) -> HttpResponse:
        await auth.alogout(request)
        return HttpResponse(str(request.user.is_authenticated))

    view(leaves)
    answer = site.aget("/acall", "ada")
    assert answer.text == "False"
    assert "amplify-session=;" in answer.headers["Set-Cookie"]


def test_the_button_of_the_admin_ends_the_session(site: Site) -> None:
    token = "a" * 32
    form = {"data": {"csrfmiddlewaretoken": token}}
    cookie = site.cookie("root")["Cookie"]
    answer = site.post("/admin/logout/", **form, Cookie=f"{cookie}; csrftoken={token}")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "/auth/sign-out"  # which leads on to the pool's
    assert cleared(answer)


def test_an_ended_session_shows_in_the_same_view(site: Site) -> None:
    answer = site.get("/leave", "ada")
    assert answer.json == {"before": True, "after": False}
    assert cleared(answer)


def test_a_bearer_header_has_no_session_to_end(make: Any, view: Any) -> None:
    site = make(bearer=True)

    def leaves(request: Any) -> HttpResponse:
        auth.logout(request)
        return HttpResponse("done")

    view(leaves)
    assert site.get("/call", **site.bearer("ada")).text == "done"


def local_session(password: bool = True) -> str:
    """The session cookie of a local user, by Django's own sign-in."""
    user = User.objects.create_user("local", password="a password")
    client = Client()
    with signed_out():
        if password:
            assert client.login(username="local", password="a password")
        else:
            client.force_login(user, settings.AUTHENTICATION_BACKENDS[0])
    return f"sessionid={client.cookies['sessionid'].value}"


@pytest.mark.parametrize("ask", ["get", "aget"])
def test_a_local_user_counts_if_nobody_else_is_signed_in(site: Site, ask: str) -> None:
    session = local_session()
    name = lambda **headers: _json(getattr(site, ask)("/who", **headers))["name"]  # noqa: E731
    assert name(Cookie=session) == "local"
    assert name(Cookie=f"{session}; {site.cookie('ada')['Cookie']}") == "ada"
    assert name(Cookie=f"{session}; amplify-session=junk") == "local"
    awaited = _json(getattr(site, ask)("/async", Cookie=session))
    assert awaited["name"] == "local"


def _json(answer: Any) -> Any:
    return answer.json() if callable(answer.json) else answer.json


def test_without_its_backend_a_local_user_is_nobody(site: Site) -> None:
    session = local_session()
    with override_settings(AUTHENTICATION_BACKENDS=[settings.AUTHENTICATION_BACKENDS[1]]):
        assert site.get("/who", Cookie=session).json["in"] is False


def test_a_bearer_header_counts_alone(make: Any) -> None:
    site = make(bearer=True)
    session = local_session()
    assert site.get("/who", Cookie=session).json["name"] == "local"
    refused = site.get("/who", Cookie=session, Authorization="Bearer a.b.c")
    assert refused.json["in"] is False
    assert site.get("/who", Cookie=session, **site.bearer("ada")).json["name"] == "ada"


def test_a_session_of_djangos_never_outlives_ours(site: Site, view: Any) -> None:
    """A view that signs the user in to Django's session, too, by our backend."""

    def logs_in(request: Any) -> HttpResponse:
        auth.login(request, request.user, settings.AUTHENTICATION_BACKENDS[1])
        return HttpResponse("done")

    view(logs_in)
    answer = site.get("/call", "ada")
    assert answer.text == "done"
    session = cookies(answer)["sessionid"].partition(";")[0]
    assert site.get("/who", Cookie=session).json["in"] is False


# When it cannot be told.


@pytest.fixture
def outage() -> Any:
    """A pool whose keys cannot be had, and a site of it; with a token."""
    with LocalUserPool() as pool:
        pool.add_user("ada")
        site = Site(pool)
        cookie = site.cookie("ada")["Cookie"]
    return lambda path, ask="get", more="": getattr(site, ask)(path, Cookie=cookie + more)


@pytest.mark.parametrize("ask", ["get", "aget"])
def test_an_outage_is_no_stranger(outage: Any, ask: str) -> None:
    for path in ("/who", "/mine", "/edit", "/page", "/async", "/rest/mine", "/rest/open"):
        answer = outage(path, ask)
        assert (path, answer.status_code) == (path, 503)
        assert answer.headers["Retry-After"]
        assert "Set-Cookie" not in answer.headers
    assert outage("/unasked", ask).status_code == 200


def test_an_outage_lets_no_local_user_in(outage: Any) -> None:
    assert outage("/who", more="; " + local_session()).status_code == 503


@override_settings(
    MIDDLEWARE=[*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
)
@pytest.mark.parametrize("ask", ["get", "aget"])
def test_login_required_by_djangos_middleware(cognito: LocalUserPool, ask: str) -> None:
    site = Site(cognito)
    assert getattr(site, ask)("/unasked", "ada").status_code == 200
    assert getattr(site, ask)("/unasked").status_code == 302
    assert getattr(site, ask)("/accounts/login/").status_code == 302
    with LocalUserPool() as gone:
        gone.add_user("ada")
        site = Site(gone)
        cookie = site.cookie("ada")
    assert getattr(site, ask)("/unasked", **cookie).status_code == 503
    assert getattr(site, ask)("/accounts/login/", **cookie).status_code == 503


def test_a_token_that_runs_out_in_an_open_socket_leaves_nobody(
    database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with signed_in("ada"):
        visit = current_visit()
        visit.open_socket()
        user = UserNow(Found(visit))
        assert user.is_authenticated
        now = visit.now() + 4000
        monkeypatch.setattr(visit.home.runner, "clock", lambda: now)
        assert not user.is_authenticated
        assert user.pk is None


def test_new_tokens_in_an_open_socket_change_the_rights_and_not_the_row() -> None:
    async def socket() -> list[Any]:
        with signed_in("ada", groups=["admins"]):
            visit = current_visit()
            found = Found(visit)
            before = await found.auser()
            known.forget_all()  # the time is over
            user = replace(visit.verdict.user, groups=())  # type: ignore[union-attr]
            visit.verdict = replace(visit.verdict, user=user)  # type: ignore[type-var]
            now = UserNow(found)
            return [before.pk, before.is_staff, now.pk, now.is_staff, now.get_username()]

    with override_settings(AMPLIFY_MW={**settings.AMPLIFY_MW, "database_ttl": 0}):
        found = asyncio.run(socket())
    pk = User.objects.get().pk
    assert found == [pk, True, pk, False, "ada"]


def test_an_expired_or_broken_cookie_is_nobody_and_cleared(site: Site) -> None:
    answer = site.get("/who", Cookie="amplify-session=junk")
    assert answer.json["in"] is False
    assert cleared(answer)


def test_without_the_outer_middleware_reading_the_user_is_an_error() -> None:
    client = Client()
    assert client.get("/unasked").content == b"nothing"
    with pytest.raises(OutsideRequestError):
        client.get("/who")


# The admin.


def admin_form(site: Site, path: str, user: str, **fields: str) -> Any:
    """Send a form of the admin, with Django's token for forms."""
    token = "a" * 32
    cookie = site.cookie(user)["Cookie"]
    return site.post(
        path,
        data={"csrfmiddlewaretoken": token, **fields},
        Cookie=f"{cookie}; csrftoken={token}",
    )


def test_the_admin_changes_an_object_and_writes_down_who_did(site: Site) -> None:
    book = Book.objects.create(title="Notes")
    page = site.get("/admin/", "carl")
    assert page.status_code == 200
    assert "Carl" in page.text
    path = f"/admin/shelf/book/{book.pk}/change/"
    assert site.get(path, "carl").status_code == 200
    answer = admin_form(site, path, "carl", title="Sketch", owner="")
    assert answer.status_code == 302, answer.text
    book.refresh_from_db()
    assert book.title == "Sketch"
    entry = LogEntry.objects.get()
    assert entry.user.username == "carl"
    assert admin_form(site, "/admin/shelf/book/add/", "carl", title="No").status_code == 403
    assert admin_form(site, "/admin/shelf/book/add/", "root", title="Yes").status_code == 302


def test_the_admin_sends_a_visitor_to_sign_in_and_others_away(site: Site) -> None:
    first = site.get("/admin/")
    assert first.headers["Location"] == "/admin/login/?next=/admin/"
    answer = site.get(first.headers["Location"])
    assert answer.headers["Location"] == "/auth/sign-in?next=%2Fadmin%2F"
    assert site.get("/admin/login/?next=/admin/", "ada").status_code == 403
    assert site.get("/admin/auth/user/", "carl").status_code == 403


def test_the_admin_lists_and_changes_users(site: Site) -> None:
    site.get("/who", "ada")
    assert "ada@example.com" in site.get("/admin/auth/user/", "root").text
    row = User.objects.get(username="ada")
    assert site.get(f"/admin/auth/user/{row.pk}/change/", "root").status_code == 200
    site.get("/admin/password_change/", "root")


# Secrets.


@pytest.mark.parametrize("is_debug", [False, True])
def test_an_error_page_shows_no_token(
    site: Site, is_debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    site.wsgi.get("/unasked", base_url=HOST)
    cookie = site.cookie("ada")["Cookie"]
    token = cookie.partition("=")[2]
    with override_settings(DEBUG=is_debug):
        for answer in (
            site.get("/fail", Cookie=f"{cookie}; other=shown-here"),
            site.aget("/fail", Cookie=f"{cookie}; other=shown-here"),
        ):
            assert answer.status_code == 500
            assert ("shown-here" in answer.text) is is_debug
            assert token not in answer.text
            assert token[-40:] not in answer.text
    assert token not in caplog.text


def test_a_mail_about_an_error_shows_no_token(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.utils.log import AdminEmailHandler

    sent: list[str] = []

    def send_mail(self: Any, subject: str, message: str, **more: Any) -> None:
        sent.append(f"{subject} {message} {more}")

    monkeypatch.setattr(AdminEmailHandler, "send_mail", send_mail)
    cookie = site.cookie("ada")["Cookie"]
    with override_settings(ADMINS=["root@example.com"]):
        site.get("/fail", Cookie=cookie)
    (text,) = sent
    assert "a fault" in text
    assert "amplify-session" in text
    assert cookie.partition("=")[2] not in text


# Django REST framework.


def test_rest_framework_knows_the_user(site: Site) -> None:
    told = site.get("/rest/mine", "ada").json
    assert told == {"user": "ada", "pk": User.objects.get().pk, "auth": "ada"}
    assert site.aget("/rest/mine", "ada").json()["user"] == "ada"


def test_rest_framework_answers_401_with_a_challenge_and_403(make: Any) -> None:
    site = make(bearer=True)
    answer = site.get("/rest/mine")
    assert answer.status_code == 401
    expected = site.get("/raises").headers.getlist("WWW-Authenticate")
    assert answer.headers["WWW-Authenticate"] == ", ".join(expected)
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    statuses = [site.get("/rest/edit", user).status_code for user in (None, "grace", "ada")]
    assert statuses == [401, 403, 200]
    statuses = [site.get("/rest/grouped", user).status_code for user in (None, "grace", "root")]
    assert statuses == [401, 403, 200]
    assert site.get("/rest/open").json["user"] == "AnonymousUser"


def test_rest_framework_takes_a_bearer_token(make: Any) -> None:
    site = make(bearer=True)
    assert site.get("/rest/mine", **site.bearer("ada")).json["user"] == "ada"
    assert site.get("/rest/edit", **site.bearer("grace")).status_code == 403
    for path in ("/rest/mine", "/rest/open", "/rest/raises"):
        answer = site.get(path, Authorization="Bearer a.b.c")
        assert (answer.status_code, 'error="invalid_token"' in str(answer.headers)) == (401, True)
    assert site.post("/rest/who", **site.bearer("ada")).status_code == 200


def test_rest_framework_and_a_machine(make: Any, cognito: LocalUserPool) -> None:
    site = make(bearer=True)
    from amplify_mw.testing import signed_in_machine

    client = Client()
    with signed_in_machine("job", scopes=["books/write"]):
        assert client.get("/rest/open").json() == {
            "user": "AnonymousUser",
            "pk": None,
            "auth": "job",
        }
        assert client.get("/rest/mine").status_code == 403
        assert client.post("/rest/scoped").json() == "job"
    with signed_in_machine("job"):
        assert client.post("/rest/scoped").status_code == 403
    assert site.post("/rest/scoped").status_code == 401


def test_rest_framework_answers_an_error_in_a_view(site: Site) -> None:
    assert site.get("/rest/raises").status_code == 401
    assert site.get("/rest/raises", "ada").json == "ada"
    assert site.aget("/rest/raises").status_code == 401


def test_rest_framework_refuses_another_sites_page(make: Any) -> None:
    site = make()
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert site.post("/rest/mine", "ada", **evil).status_code == 403
    assert site.post("/rest/mine", "ada").status_code == 200
    left_to_django = make(csrf=None)
    assert left_to_django.post("/rest/mine", "ada", **evil).status_code == 403
    assert left_to_django.post("/rest/mine", "ada").status_code == 403
    cookie = left_to_django.cookie("ada")["Cookie"]
    token = "a" * 32
    answer = left_to_django.post(
        "/rest/mine", Cookie=f"{cookie}; csrftoken={token}", **{"X-CSRFToken": token}
    )
    assert answer.status_code == 200


def test_rest_framework_has_model_permissions_and_foreign_keys(site: Site) -> None:
    data = {"title": "Notes"}
    assert site.post("/rest/books", "ada", data).status_code == 403
    assert site.post("/rest/books", "root", data).status_code == 201
    assert Book.objects.get().owner.username == "root"


def test_rest_framework_throttles_by_user(site: Site) -> None:
    from django.core.cache import cache

    cache.clear()
    assert [site.get("/rest/throttled", "ada").status_code for _ in range(3)] == [200, 200, 429]
    assert site.get("/rest/throttled", "grace").status_code == 200
    cache.clear()


def test_a_local_user_is_in_no_group_of_the_pool(site: Site, view: Any) -> None:
    """Even beside a session of ours, whose user is another."""
    from rest_framework.test import APIRequestFactory, force_authenticate

    from tests.django_sites.project.rest import Grouped

    local = User.objects.create_user("local")
    request = APIRequestFactory().get("/rest/grouped")
    force_authenticate(request, local)
    with signed_in("ada", groups=["editors"]):
        assert Grouped.as_view()(request).status_code == 403


def test_the_browsable_api_greets_the_user(site: Site) -> None:
    page = site.get("/rest/mine", "ada", Accept="text/html")
    assert page.status_code == 200
    assert "ada" in page.text
    page = site.get("/rest/open", Accept="text/html")
    assert 'href="/rest/login/?next=/rest/open"' in page.text.replace("&#x27;", "'").replace(
        "'", '"'
    )
    answer = site.get("/rest/login/?next=/rest/open")
    assert answer.headers["Location"] == "/auth/sign-in?next=%2Frest%2Fopen"
    assert site.get("/rest/books", "root", Accept="text/html").status_code == 200


def test_a_known_user_costs_rest_framework_no_query(site: Site) -> None:
    site.get("/rest/mine", "ada")
    with queries(0):
        assert site.get("/rest/edit", "ada").status_code == 200


# Django's cache.

CACHED = [
    "django.middleware.cache.UpdateCacheMiddleware",
    *settings.MIDDLEWARE,
    "django.middleware.cache.FetchFromCacheMiddleware",
]
READS: dict[str, Any] = {
    "request.user": lambda request: request.user.get_username(),
    "get_current_user": lambda request: get_current_user().username,
    "user_or_none": lambda request: getattr(user_or_none(), "username", ""),
}


def greeting(reads: Any, asks: str) -> Any:
    """A view's greeting, and the number of times that it has been made."""
    made: list[None] = []

    def greets(request: Any) -> HttpResponse:
        made.append(None)
        return HttpResponse(f"{reads(request)} {len(made)}")

    async def awaited(request: Any) -> HttpResponse:
        made.append(None)
        user = await request.auser()
        return HttpResponse(f"{user.get_username()} {len(made)}")

    return awaited if asks == "aget" else greets


@pytest.mark.parametrize("asks", ["get", "aget"])
@pytest.mark.parametrize("name", READS)
@override_settings(MIDDLEWARE=CACHED)
def test_djangos_cache_keeps_no_users_page(make: Any, view: Any, name: str, asks: str) -> None:
    caches["default"].clear()
    site = make(bearer=True)
    view(greeting(READS[name], asks))

    def ask(**headers: str) -> str:
        text: str = getattr(site, asks)(f"/{asks[:-3]}call", **headers).text
        return text

    if name != "get_current_user" or asks == "aget":
        assert [ask(), ask()] == [" 1", " 1"]
    cookies = site.cookie("ada"), site.cookie("grace")
    bearers = site.bearer("ada"), site.bearer("grace")
    found = [ask(**sent).split()[0] for sent in (*cookies, *bearers)]
    assert found == ["ada", "grace", "ada", "grace"]


@override_settings(
    MIDDLEWARE=[name.replace("UserMiddleware", "AuthErrorMiddleware") for name in CACHED]
)
def test_djangos_cache_keeps_no_users_page_without_our_user(make: Any, view: Any) -> None:
    caches["default"].clear()
    view(lambda request: HttpResponse(get_current_user().username))
    site = make()
    for ask in (lambda user: site.get("/call", user), lambda user: site.aget("/call", user)):
        assert [ask(user).text for user in ("ada", "grace")] == ["ada", "grace"]
        assert ask(None).status_code == 401


@pytest.mark.parametrize("asks", ["get", "aget"])
def test_djangos_cached_views_keep_no_users_page(site: Site, view: Any, asks: str) -> None:
    caches["default"].clear()
    view(cache_page(60)(greeting(READS["request.user"], asks)))
    ask = getattr(site, asks)
    found = [ask(f"/{asks[:-3]}call", user).text for user in ("ada", "grace", None, None)]
    assert found == ["ada 1", "grace 2", " 3", " 3"]


def test_a_cached_view_behind_login_required_lets_no_visitor_in(site: Site, view: Any) -> None:
    caches["default"].clear()
    view(cache_page(60)(login_required(lambda request: HttpResponse("for users"))))
    assert site.get("/call", "ada").text == "for users"
    assert site.get("/call").status_code == 302


# django-ninja.


def test_ninja_knows_the_user(make: Any) -> None:
    site = make(bearer=True)
    assert site.get("/ninja/who", "ada").json == "ada ada"
    assert site.get("/ninja/who", **site.bearer("ada")).json == "ada ada"
    assert site.aget("/ninja/awaited", "ada").json() == "ada ada"
    assert site.get("/ninja/awaited", "ada").json == "ada ada"


@pytest.mark.parametrize("is_debug", [False, True])
def test_ninja_answers_401_and_403(make: Any, is_debug: bool) -> None:
    site = make(bearer=True)
    with override_settings(DEBUG=is_debug):
        for path in ("/ninja/who", "/ninja/raises", "/ninja/awaited"):
            answer = site.get(path)
            assert (path, answer.status_code) == (path, 401)
            assert "Bearer" in answer.headers["WWW-Authenticate"]
        statuses = [site.post("/ninja/edit", user).status_code for user in (None, "grace", "ada")]
        assert statuses == [401, 403, 200]
        answer = site.get("/ninja/who", Authorization="Bearer a.b.c")
        assert answer.status_code == 401
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert site.post("/ninja/edit", "ada", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_ninja_asks_for_djangos_token_if_forged_requests_are_left_to_django(make: Any) -> None:
    site = make(csrf=None, bearer=True)
    evil = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert site.post("/ninja/edit", "ada", **evil).status_code == 403
    assert site.post("/ninja/edit", "ada").status_code == 403
    assert site.post("/ninja/edit").status_code == 401
    assert site.get("/ninja/who", "ada").status_code == 200
    assert site.post("/ninja/edit", **site.bearer("ada")).status_code == 200
    cookie, token = site.cookie("ada")["Cookie"], "a" * 32
    sent = {"Cookie": f"{cookie}; csrftoken={token}", "X-CSRFToken": token}
    assert site.post("/ninja/edit", **sent).status_code == 200


def test_guarded_answers_are_not_kept_by_the_browser(site: Site) -> None:
    for path in ("/ninja/who", "/rest/edit"):
        assert site.get(path, "ada").headers["Cache-Control"] == "no-store"


def test_ninja_answers_503(outage: Any) -> None:
    for path in ("/ninja/who", "/ninja/raises"):
        assert (path, outage(path).status_code) == (path, 503)
    assert outage("/ninja/awaited", "aget").status_code == 503


def test_ninja_shows_both_credentials(site: Site) -> None:
    document = site.get("/ninja/openapi.json").json
    assert document["components"]["securitySchemes"] == {
        "CookieAuth": {"type": "apiKey", "in": "cookie", "name": "amplify-session"},
        "BearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    }
    assert document["paths"]["/ninja/who"]["get"]["security"] == [
        {"CookieAuth": []},
        {"BearerAuth": []},
    ]


# Tests of the site's own.


class SitesTests(TestCase):
    __test__ = False  # it is run below, as Django would

    def test_signed_in(self) -> None:
        with signed_in("ada", groups=["editors"], given_name="Ada"):
            told = self.client.get("/who").json()
            assert told["name"] == "ada"
            assert told["change"] is True
            assert self.client.get("/mine").status_code == 200
        with signed_out():
            assert self.client.get("/mine").status_code == 302
        assert User.objects.get().first_name == "Ada"

    def test_a_second_test_has_a_row_of_its_own(self) -> None:
        with signed_in("ada"):
            assert self.client.get("/who").json()["pk"] == User.objects.get().pk

    def test_force_login(self) -> None:
        user = User.objects.create_user("local")
        self.client.force_login(user)
        assert self.client.get("/who").json()["name"] == "local"


def test_the_clients_of_djangos_own_tests() -> None:
    import unittest

    for _ in range(2):
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(SitesTests).run(result)
        assert result.testsRun == 3
        assert not result.errors, result.errors
        assert not result.failures, result.failures


def test_a_signed_in_client_goes_through_the_middleware(site: Site, amplify_client: Any) -> None:
    client = amplify_client.django("ada", groups=["editors"], app=site.wsgi.application)
    answer = client.get("/mine")
    assert answer.json()["name"] == "ada"
    assert answer.wsgi_request.user.username == "ada"  # after the request
    assert client.get("/rest/edit").status_code == 200
    assert amplify_client.django(app=site.wsgi.application).get("/mine").status_code == 302


def test_what_nothing_has_read_cannot_be_read_after_the_request(
    site: Site, amplify_client: Any
) -> None:
    client = amplify_client.django("ada", app=site.wsgi.application)
    request = client.get("/unasked").wsgi_request
    with pytest.raises(OutsideRequestError):
        request.user.is_authenticated  # noqa: B018
    with signed_in("grace"), pytest.raises(OutsideRequestError):
        request.user.is_authenticated  # noqa: B018  # and least of all somebody else


# Checks.


def ids(**changed: Any) -> set[str]:
    with override_settings(**changed):
        found = run_checks(databases=["default"])
    return {each.id.removeprefix("amplify_mw.") for each in found if "amplify_mw." in each.id}


APPLICATION: Any = None  # what the settings WSGI_APPLICATION and ASGI_APPLICATION name
PATH = f"{__name__}.APPLICATION"


def test_checks_find_nothing_wrong_here() -> None:
    Group.objects.create(name="Readers")
    assert ids() == set()


def test_checks_of_middlewares() -> None:
    ours = "amplify_mw.integrations.django.UserMiddleware"
    required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    others = [each for each in settings.MIDDLEWARE if each != ours]
    Group.objects.create(name="Readers")
    assert ids(MIDDLEWARE=others) == {"W001"}
    errors = "amplify_mw.integrations.django.AuthErrorMiddleware"
    assert ids(MIDDLEWARE=[*others, errors]) == set()
    assert ids(MIDDLEWARE=[ours, *others]) == {"E002"}
    assert ids(MIDDLEWARE=[*others, required, ours]) == {"E003"}
    assert ids(MIDDLEWARE=[*others, ours, required]) == set()


def test_checks_of_the_setting() -> None:
    for wrong in (
        {"group": {}},
        {"groups": ["editors"]},
        {"groups": {"editors": ["shelf.change_book"]}},
        {"groups": {"editors": {"permission": ["shelf.change_book"]}}},
        {"groups": {"editors": {"permissions": "shelf.change_book"}}},
        {"groups": {"editors": {"permissions": ["change_book"]}}},
        {"groups": {"editors": {"groups": [1]}}},
        {"groups": {"editors": {"is_staff": "yes"}}},
        {"groups": {"editors": {"pool": 1}}},
        {"database_ttl": -1},
        {"new_row": len},
        [],
    ):
        assert ids(AMPLIFY_MW=wrong) == {"E001"}, wrong


def test_checks_of_names_in_the_database() -> None:
    assert ids() == {"W007"}
    wrong = {"groups": {"editors": {"permissions": ["shelf.chang_book"]}}}
    assert ids(AMPLIFY_MW=wrong) == {"W008"}


def test_checks_of_backends() -> None:
    Group.objects.create(name="Readers")
    assert ids(AUTHENTICATION_BACKENDS=settings.AUTHENTICATION_BACKENDS[:1]) == {"W004"}


def test_checks_of_the_admin() -> None:
    Group.objects.create(name="Readers")
    rows = "amplify_mw.integrations.django.rows"
    apps = [each for each in settings.INSTALLED_APPS if each != rows]
    plain = [*apps, "amplify_mw.integrations.django"]
    assert ids(INSTALLED_APPS=plain) == {"E004"}
    assert ids(INSTALLED_APPS=plain, AMPLIFY_MW={}) == set()  # for local users alone


def test_checks_of_the_application(site: Site, make: Any, monkeypatch: Any) -> None:
    global APPLICATION
    Group.objects.create(name="Readers")
    for name, kind in (("WSGI_APPLICATION", "wsgi"), ("ASGI_APPLICATION", "asgi")):
        wrapped = getattr(site, kind)
        APPLICATION = wrapped.application if kind == "wsgi" else wrapped.app
        assert ids(**{name: PATH}) == set()
        assert ids(**{name: PATH}, LOGIN_URL="login") == set()
        assert ids(**{name: PATH}, LOGIN_URL="/accounts/login/") == set()
        assert ids(**{name: PATH}, LOGIN_URL="/login") == {"W005"}
        assert ids(**{name: PATH}, LOGIN_URL="no_such_name") == {"W005"}
        APPLICATION = APPLICATION.app
        assert ids(**{name: PATH}) == {"W002"}
        assert ids(**{name: "tests.django_sites.no_such_module.app"}) == {"W003"}
    APPLICATION = make(csrf=None).wsgi.application
    assert ids(WSGI_APPLICATION=PATH) == set()
    others = [each for each in settings.MIDDLEWARE if "Csrf" not in each]
    assert ids(WSGI_APPLICATION=PATH, MIDDLEWARE=others) == {"W006"}


def test_checks_say_what_the_doctor_says(make: Any) -> None:
    global APPLICATION
    Group.objects.create(name="Readers")
    store = MemoryStore()
    faults = {"protect": ["/users/<name>"], "cookie": CookiePolicy(name="session", secure=False)}
    APPLICATION = make(session=StoredSession(store), **faults).wsgi.application
    both = {"WSGI_APPLICATION": PATH, "ASGI_APPLICATION": PATH}  # told once
    with override_settings(**both):
        found = {each.id: each for each in run_checks(tags=["amplify_mw"], databases=["default"])}
        assert isinstance(found["amplify_mw.patterns"], checks.Error)
        assert found["amplify_mw.patterns"].hint == "write '/users/*'"
        assert isinstance(found["amplify_mw.cookie_name"], checks.Warning)
        assert "amplify_mw.store_sharing" not in found
        asked = run_checks(tags=["amplify_mw"], include_deployment_checks=True)
    assert [each.id for each in asked].count("amplify_mw.store_sharing") == 1
    assert [each.id for each in asked].count("amplify_mw.patterns") == 1
    APPLICATION = make(session=StoredSession(store)).wsgi.application
    assert ids(**both) == set()


def test_checks_without_a_network_are_no_errors(make: Any, cognito: LocalUserPool) -> None:
    global APPLICATION
    APPLICATION = make().wsgi.application
    with override_settings(WSGI_APPLICATION=PATH), cognito.fault("*", Down()):
        found = run_checks(tags=["amplify_mw"], include_deployment_checks=True)
    told = {each.id: type(each) for each in found}
    assert told["amplify_mw.pool_reachable"] is checks.Warning
    assert told["amplify_mw.discovery"] is checks.Info
    assert checks.Error not in told.values()


def test_every_check_says_what_to_write(site: Site) -> None:
    global APPLICATION
    APPLICATION = site.wsgi.application.app
    ours = "amplify_mw.integrations.django.UserMiddleware"
    others = [each for each in settings.MIDDLEWARE if each != ours]
    with override_settings(WSGI_APPLICATION=PATH, MIDDLEWARE=[ours, *others]):
        found = run_checks(tags=["amplify_mw"], databases=["default"])
    assert len(found) >= 3
    assert all(each.hint for each in found)


def test_a_wrong_setting_is_an_error_when_the_app_starts(cognito: LocalUserPool) -> None:
    from amplify_mw import ConfigurationError

    with (
        override_settings(AMPLIFY_MW={"gruops": {}}),
        pytest.raises(ConfigurationError, match="'gruops'; it has groups"),
    ):
        Site(cognito)


def test_anonymous_is_djangos_own(site: Site, view: Any) -> None:
    view(lambda request: HttpResponse(str(isinstance(request.user, AnonymousUser))))
    assert site.get("/call").text == "True"
