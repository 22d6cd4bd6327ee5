from django.apps import AppConfig


class MembersConfig(AppConfig):
    name = "tests.django_sites.project.members"
    label = "members"
