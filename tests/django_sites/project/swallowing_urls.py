"""The views of `tests.frameworks.swallowing`, as Django's and as those of its REST framework."""

from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.frameworks.swallowing import ALL_IS_WELL, VIEWS


class CatchAll:
    """Answers 200 to every exception that reaches it, where a test asks for that."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        return self.get_response(request)

    def process_exception(self, request, error):
        catches = getattr(settings, "CATCHES", False)
        return HttpResponse(ALL_IS_WELL) if catches else None


def plain(view):
    return lambda request: HttpResponse(view())


def rest(view):
    class View(APIView):
        def get(self, request):
            return Response(view())

    return View.as_view()


urlpatterns = [path(name[1:], plain(view)) for name, view in VIEWS.items()]
urlpatterns += [path(f"rest{name}", rest(view)) for name, view in VIEWS.items()]
