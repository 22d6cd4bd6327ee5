#!/usr/bin/env bash
# django-prometheus counts what a middleware answers without its status: no 401 of an auth middleware.
#
# Version    PyPI django-prometheus 2.5.0, Django 5.2.19.
# Behaviour  Its two middlewares stand first and last, as its documentation has it. All metrics with a
#            status, a view or a method come from the last one, which a middleware between them never
#            calls when it answers by itself. Such a request is counted once before and once after,
#            in two totals without a label. Django's own 404 has its status.
# Expected   The 401 in django_http_responses_total_by_status: the first of the two sees each answer
#            on its way out.
# Hurt       Sites that are guarded by a middleware: the total by status has no 401, in an attack or
#            after a mistake in the configuration that locks everybody out; shares of errors are
#            reckoned from the requests that were let in.
# Way out    A counter of one's own where the request is refused; or alert on the difference of
#            django_http_responses_before_middlewares_total and the sum by status.
# Source     korfuri/django-prometheus, django_prometheus/middleware.py
#            (PrometheusBeforeMiddleware, PrometheusAfterMiddleware).
#            https://github.com/korfuri/django-prometheus/blob/master/README.md (where the two stand).
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | answered: 401 401 401 200 404
#   | before_middlewares: 5 requests, 5 responses
#   | by status: 200 once, 404 once
#   | by method: GET twice
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  django-prometheus==2.5.0 django==5.2.19 prometheus-client==0.26.0 \
  2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import logging
import sys

import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path


class Guard:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if "session" in request.COOKIES:
            return self.get_response(request)
        return HttpResponse("Who are you?", status=401)


def order(request, number):
    return HttpResponse("an order")


urlpatterns = [path("orders/<number>", order, name="order")]
logging.disable()
settings.configure(
    ROOT_URLCONF=sys.modules["__main__"],
    SECRET_KEY="a secret of the site, long enough for it",
    ALLOWED_HOSTS=["testserver"],
    INSTALLED_APPS=["django_prometheus"],
    MIDDLEWARE=[
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "__main__.Guard",
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
)
django.setup()

from django.test import Client  # noqa: E402
from prometheus_client import REGISTRY  # noqa: E402

browser = Client()
statuses = [browser.get("/orders/1").status_code for _ in range(3)]
browser.cookies["session"] = "ada"
statuses += [browser.get(path).status_code for path in ("/orders/1", "/nothing")]
print("answered:", *statuses)


def samples(name):
    for family in REGISTRY.collect():
        for sample in family.samples:
            if sample.name == name:
                yield sample


def counted(name, label):
    words = {1: "once", 2: "twice"}
    found = (f"{sample.labels[label]} {words[sample.value]}" for sample in samples(name))
    return ", ".join(sorted(found))


(requests,) = samples("django_http_requests_before_middlewares_total")
(responses,) = samples("django_http_responses_before_middlewares_total")
print(f"before_middlewares: {requests.value:.0f} requests, {responses.value:.0f} responses")
print(f"by status: {counted('django_http_responses_total_by_status_total', 'status')}")
print(f"by method: {counted('django_http_requests_total_by_method_total', 'method')}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
