"""Documentation says what is so: commands, names, snippets, links."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import digitreader
from digitreader.doors.cli import HOMES

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "src/digitreader/models/README.md"]


def test_what_is_made_is_up_to_date() -> None:
    check = [sys.executable, str(ROOT / "docs" / "make_docs.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_readme_shows_what_the_program_prints() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = readme.split("$ digitreader read examples/page.jpg\n")[1].split("```")[0]
    done = subprocess.run(
        [sys.executable, "-m", "digitreader", "read", "examples/page.jpg"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    texts = (done.stdout, shown)
    printed, promised = (
        [re.sub(r"[\d.]+%", "%", x).rstrip() for x in t.splitlines()] for t in texts
    )
    assert printed == promised
    # A confidence may differ a little from processor to processor.
    now, then = ([float(x) for x in re.findall(r"([\d.]+)%", text)] for text in texts)
    assert now == pytest.approx(then, abs=0.5)


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in HOMES if f"digitreader {name}" not in readme] == []


def test_public_names_are_documented_and_importable() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`digitreader\.(\w+)", page)) - {"errors"}
    assert documented == set(digitreader.__all__)
    assert all(getattr(digitreader, name).__doc__ for name in digitreader.__all__)


def test_documented_methods_of_the_reader_exist() -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    table = page.split("## `digitreader.Reader(")[1].split("##")[0]
    documented = {
        re.sub(r", source.*|\(.*", "", m) for m in re.findall(r"^\| `(.+?)`", table, re.M)
    }
    public = {
        name for name, _ in inspect.getmembers(digitreader.Reader, inspect.isfunction)
        if not name.startswith("_")
    }  # fmt: skip
    assert documented == public


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_python_snippets_run(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.S)
    assert snippets
    for snippet in snippets:
        done = subprocess.run(
            [sys.executable, "-c", snippet], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        promised = re.findall(r"#\s+(\S.*)$", snippet, re.M)
        shown = done.stdout.splitlines()
        assert shown[: len(promised)] == promised


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_guards_and_tests_that_security_names_exist() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    file, tests = "", re.findall(r"`((?:test_\w+\.py)?)::(\w+)`", page)
    assert len(tests) > 30
    for named, test in tests:
        file = named or file  # `::test` is of the file before
        assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")
    for module, setting in re.findall(r"`([\w/]+\.py)(?:: (\w+))?`", page):
        text = (ROOT / "src" / "digitreader" / module).read_text(encoding="utf-8")
        assert re.search(rf"^(class )?{setting or ''}\b", text, re.M)
