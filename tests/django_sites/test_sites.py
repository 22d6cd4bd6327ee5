"""Every test of the sites, each of which has settings of its own and runs in a process of its own.

To run one alone:  DJANGO_SETTINGS_MODULE=tests.django_sites.project.rows \
    python -m pytest -p tests.django_sites.inside tests/django_sites/site_rows.py -k admin
"""

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SITES = {path.stem.removeprefix("site_"): path for path in sorted(HERE.glob("site_*.py"))}
TESTS = [
    (site, node.name)
    for site, path in SITES.items()
    for node in ast.parse(path.read_bytes()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
]


@cache
def results(site: str, folder: Path) -> dict[str, str]:
    """What failed in a site's tests, by name; "" for what passed."""
    report = folder / f"{site}.xml"
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": f"tests.django_sites.project.{site}",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "SITE_FOLDER": str(folder),
    }
    environment.pop("PYTEST_ADDOPTS", None)
    options = ("-p", "tests.django_sites.inside", "-p", "no:cacheprovider", f"--junitxml={report}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(SITES[site])],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if not report.exists():
        return {"": done.stdout + done.stderr}
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = str(case.get("name")).partition("[")[0]
        said = "".join(part.text or "" for part in case if part.tag in ("failure", "error"))
        found[name] = found.get(name, "") + said
    return found


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("django")


@pytest.mark.parametrize(("site", "name"), TESTS)
def test_site(site: str, name: str, folder: Path) -> None:
    found = results(site, folder)
    assert name in found, found.get("", "it did not run")
    assert not found[name], found[name]
