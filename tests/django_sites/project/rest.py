"""The pages of Django REST framework."""

from django.urls import include, path
from rest_framework.permissions import AllowAny, DjangoModelPermissions, IsAuthenticated
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework.throttling import UserRateThrottle
from rest_framework.views import APIView
from rest_framework.viewsets import ModelViewSet

from amplify_mw import get_current_user, require_auth
from amplify_mw.integrations.django.rest_framework import has_group
from amplify_mw.integrations.django.views import sign_in

from .shelf.models import Book


class Who(APIView):
    def get(self, request):
        auth = request.auth
        name = getattr(auth, "username", None) or getattr(auth, "client_id", None)
        return Response({"user": str(request.user), "pk": request.user.pk, "auth": name})

    post = get


class Mine(Who):
    permission_classes = (IsAuthenticated,)


class Open(Who):
    permission_classes = (AllowAny,)


class Edit(Who):
    permission_classes = (IsAuthenticated & has_group("editors"),)


class Grouped(Who):
    permission_classes = (has_group("editors", "admins"),)


class Throttled(Who):
    throttle_classes = (UserRateThrottle,)


class Raises(APIView):
    def get(self, request):
        return Response(get_current_user().username)


class Scoped(APIView):
    @require_auth(scopes=["books/write"], machines=True)
    def post(self, request):
        return Response(request.auth.client_id)


class BookSerializer(ModelSerializer):
    class Meta:
        model = Book
        fields = ("id", "title")


class Books(ModelViewSet):
    queryset = Book.objects.all()
    serializer_class = BookSerializer
    permission_classes = (DjangoModelPermissions,)

    def perform_create(self, serializer):
        serializer.save(owner=self.request.user)


urlpatterns = [
    path("rest/who", Who.as_view()),
    path("rest/mine", Mine.as_view()),
    path("rest/open", Open.as_view()),
    path("rest/edit", Edit.as_view()),
    path("rest/grouped", Grouped.as_view()),
    path("rest/throttled", Throttled.as_view()),
    path("rest/raises", Raises.as_view()),
    path("rest/scoped", Scoped.as_view()),
    path("rest/books", Books.as_view({"get": "list", "post": "create"})),
    path("rest/login/", include(([path("", sign_in, name="login")], "rest_framework"))),
]
