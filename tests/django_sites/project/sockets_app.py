"""The ASGI app with sockets; its user pool comes from the environment."""

import django

django.setup()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.db import database_sync_to_async  # noqa: E402
from channels.generic.websocket import (  # noqa: E402
    AsyncJsonWebsocketConsumer,
    JsonWebsocketConsumer,
)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.sessions import SessionMiddlewareStack  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import path  # noqa: E402

from amplify_mw import AmplifyConfig, AuthError, get_current_user  # noqa: E402
from amplify_mw.asgi import AmplifyASGIMiddleware  # noqa: E402
from amplify_mw.integrations.django.channels import UserMiddleware  # noqa: E402
from amplify_mw.testing import signed_out  # noqa: E402


def seen(user):
    try:
        name = get_current_user().username
    except AuthError as error:
        name = error.name
    try:
        told = {"in": user.is_authenticated, "pk": user.pk, "text": str(user)}
    except AuthError as error:
        told = {"error": error.name}
    return {**told, "verb": name}


class AsyncConsumer(AsyncJsonWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard("room", self.channel_name)

    async def receive_json(self, content):
        if content == "say":
            sender = str(self.scope["user"])
            await self.channel_layer.group_send("room", {"type": "said", "by": sender})
            return
        if content == "database":
            name = await database_sync_to_async(self.name)()
            await self.send_json({"database": name})
            return
        told = seen(self.scope["user"])
        if "error" not in told:
            told["change"] = await self.scope["user"].ahas_perm("shelf.change_book")
        await self.send_json(told)

    def name(self):
        user = self.scope["user"]
        return [User.objects.get(pk=user.pk).username, user.email, get_current_user().username]

    async def said(self, event):
        await self.send_json({**seen(self.scope["user"]), "by": event["by"]})


class SyncConsumer(JsonWebsocketConsumer):
    def receive_json(self, content):
        user = self.scope["user"]
        groups = user.groups.count() if user.pk else 0
        change = user.has_perm("shelf.change_book")
        self.send_json({**seen(user), "groups": groups, "change": change})


call_command("migrate", run_syncdb=True, verbosity=0)
User.objects.create_user("local", password="a password")
client = Client()
with signed_out():
    client.login(username="local", password="a password")


async def told(scope, receive, send):
    """The session of the local user."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    body = client.cookies["sessionid"].value.encode()
    await send({"type": "http.response.body", "body": body})


sockets = URLRouter(
    [path("ws/async", AsyncConsumer.as_asgi()), path("ws/sync", SyncConsumer.as_asgi())]
)
theirs = URLRouter([path("theirs/async", AsyncConsumer.as_asgi())])
django_app = get_asgi_application()


async def http(scope, receive, send):
    await (told if scope["path"] == "/session" else django_app)(scope, receive, send)


async def websocket(scope, receive, send):
    stack = theirs_stack if scope["path"].startswith("/theirs/") else ours_stack
    await stack(scope, receive, send)


ours_stack = SessionMiddlewareStack(UserMiddleware(sockets))
theirs_stack = AuthMiddlewareStack(theirs)
application = AmplifyASGIMiddleware(
    ProtocolTypeRouter({"http": http, "websocket": websocket}),
    AmplifyConfig.from_env(http_timeout=60),
)
