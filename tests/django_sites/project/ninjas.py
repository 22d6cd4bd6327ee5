"""The pages of django-ninja."""

from django.http import HttpRequest
from ninja import NinjaAPI

from amplify_mw import aio, get_current_user
from amplify_mw.integrations.django.ninja import amplify_auth, handle_auth_errors

api = NinjaAPI(auth=amplify_auth(bearer=True))
handle_auth_errors(api)


@api.get("/who")
def who(request: HttpRequest) -> str:
    return f"{request.auth} {request.user}"


@api.post("/edit", auth=amplify_auth(groups=["editors"], bearer=True))
def edit(request: HttpRequest) -> str:
    return str(request.auth)


@api.get("/raises", auth=None)
def raises(request: HttpRequest) -> str:
    return get_current_user().username


@api.get("/awaited")
async def awaited(request: HttpRequest) -> str:
    return f"{request.auth} {(await aio.get_current_user()).username}"
