#!/usr/bin/env bash
# watchtower asked for an extra field loses each record without it, and spoils the others for the
# handlers behind it.
#
# Version    PyPI watchtower 3.4.0; moto 5.2.5 (boto3 1.44.8) stands for CloudWatch Logs.
# Behaviour  add_log_record_attrs names the fields that are sent along, and takes those of `extra`.
#            A record that lacks one is an AttributeError in the formatter: nothing is sent. One that
#            has them is changed in place: its message becomes a dictionary, its arguments stay, and
#            the next handler cannot format it. A dictionary that was logged gets the fields, too.
# Expected   A field that a record lacks is left out or null, as with python-json-logger; and a
#            handler leaves the record as it was for the next.
# Hurt       Structured logs: with ["levelname", "reason"], for a library that sets `reason`, only
#            that library's records reach CloudWatch, and all other loggers' are gone. And a console
#            or file behind it has every line with arguments only as "--- Logging error ---".
# Way out    A filter on the handler that gives each record what it lacks (None), and watchtower's
#            handler last of all. Or another JSON formatter on its handler.
# Source     kislyuk/watchtower, watchtower/__init__.py (CloudWatchLogFormatter.format). Its
#            documentation shows only fields that every record has:
#            https://kislyuk.github.io/watchtower/
# Needs      bash, python 3.10 or newer with pip. Exit status: 0 if nothing has changed.
# Seen:
#   | CloudWatch: {"msg": "refused /orders", "levelname": "INFO", "reason": "expired"}
#   | CloudWatch: {"event": "start", "levelname": "INFO", "reason": "none"}
#   | console: INFO ready
#   | console: INFO {'event': 'start', 'levelname': 'INFO', 'reason': 'none'}
#   | stderr: TypeError: not all arguments converted during string formatting
#   | stderr: AttributeError: 'LogRecord' object has no attribute 'reason'
#   | the program's dictionary: {'event': 'start', 'levelname': 'INFO', 'reason': 'none'}
set -euo pipefail
finding=$(realpath "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

python3 -m pip install --quiet --disable-pip-version-check --target packages \
  watchtower==3.4.0 moto==5.2.5 boto3==1.44.8 2>log || { cat log >&2; exit 2; }

cat >ask.py <<'PY'
import contextlib
import io
import logging
import os
import warnings

os.environ |= {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "eu-west-1",
}
warnings.simplefilter("ignore")

import boto3  # noqa: E402
import watchtower  # noqa: E402
from moto import mock_aws  # noqa: E402

group = {"log_group_name": "site", "log_stream_name": "web"}
started = {"event": "start"}
stderr, screen = io.StringIO(), io.StringIO()
with mock_aws(), contextlib.redirect_stderr(stderr):
    client = boto3.client("logs")
    cloud = watchtower.CloudWatchLogHandler(boto3_client=client, use_queues=False, **group)
    cloud.formatter.add_log_record_attrs = ["levelname", "reason"]
    console = logging.StreamHandler(screen)
    console.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger = logging.getLogger("site")
    logger.setLevel(logging.INFO)
    logger.handlers = [cloud, console]

    logger.info("refused %s", "/orders", extra={"reason": "expired"})
    logger.info("ready")
    logger.info(started, extra={"reason": "none"})

    sent = client.get_log_events(logGroupName="site", logStreamName="web")["events"]
for event in sent:
    print(f"CloudWatch: {event['message']}")
for line in screen.getvalue().splitlines():
    print(f"console: {line}")
for line in stderr.getvalue().splitlines():
    if line.startswith(("TypeError", "AttributeError")):
        print(f"stderr: {line}")
print(f"the program's dictionary: {started}")
PY
PYTHONPATH=packages python3 ask.py >seen

cat seen
diff <(sed -n 's/^#   | //p' "$finding") seen
