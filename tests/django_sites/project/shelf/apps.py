from django.apps import AppConfig


class ShelfConfig(AppConfig):
    name = "tests.django_sites.project.shelf"
    label = "shelf"
