"""The sample projects of the page on tests: pytest runs them, as users would.

Their apps are configured for a pool of Amazon's, which cannot be reached from here.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.chromium import program_path
from tests.docs.pages import blocks

OUTPUTS = {
    "version": "1.4",
    "auth": {
        "user_pool_id": "eu-west-1_Ab12Cd34E",
        "user_pool_client_id": "6h3m0k1n5p7q9r2s4t6u8v0w2x",
        "oauth": {
            "domain": "shop.auth.eu-west-1.amazoncognito.com",
            "scopes": ["openid", "email", "profile", "aws.cognito.signin.user.admin"],
            "redirect_sign_in_uri": ["https://shop.example.com/auth/sign-in-callback"],
            "redirect_sign_out_uri": ["https://shop.example.com/auth/sign-out-callback"],
        },
    },
}
ONE_LINE = 'pytest_plugins = ["amplify_mw.testing.plugin"]\n'
# What pytest-playwright gives.
BROWSER = """
import pytest

from tests.browser.chromium import launched


@pytest.fixture(scope="session")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser):
    context = browser.new_context()
    yield context.new_page()
    context.close()

"""
IN_BROWSER = {"test_in_browser.py", "test_sign_in.py"}


def project(folder: str, at: Path) -> list[str]:
    """Write the files of a project; the names of its tests."""
    (at / "conftest.py").write_text(ONE_LINE)
    (at / "amplify_outputs.json").write_text(json.dumps(OUTPUTS))
    (at / "in_browser.py").write_text(BROWSER)
    (at / "reports.html").write_text("all reports for {{ reader }}")
    names = []
    for block in blocks("testing", "python"):
        place, _, name = (block.file or "").partition("/")
        if place == folder:
            (at / name).write_text(block.text)
            names.append(name)
    return [name for name in names if name.startswith("test")]


def pytest_says(at: Path, *arguments: str) -> str:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{at}{os.pathsep}{root}"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null"]
    command += ["--disable-plugin-autoload", "-W", "error", f"--rootdir={at}", *arguments]
    done = subprocess.run(command, cwd=at, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("folder", ["flask_shop", "fastapi_shop", "django_shop"])
def test_a_project_of_the_page_passes(folder: str, tmp_path: Path) -> None:
    names = [name for name in project(folder, tmp_path) if name not in IN_BROWSER]
    said = pytest_says(tmp_path, *names)
    assert "passed" in said
    assert "skipped" not in said


@pytest.mark.browser
def test_the_pages_tests_in_a_browser_pass(tmp_path: Path) -> None:
    program_path()  # skips without a browser
    project("flask_shop", tmp_path)
    assert "2 passed" in pytest_says(tmp_path, "-p", "in_browser", *sorted(IN_BROWSER))


def test_pytest_shows_the_fixtures(tmp_path: Path) -> None:
    project("flask_shop", tmp_path)
    said = pytest_says(tmp_path, "--fixtures")
    assert "amplify_pool -- " in said
    assert "A user pool like Amazon Cognito's, of this test's own" in said
    assert 'amplify_client.flask(app, "ada", groups=["editors"])' in said
