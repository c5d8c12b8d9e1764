"""The page on security: every claim has its test."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from mergegraph.cli import app

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_the_tests_that_claims_name_are_there():
    lost = [f"{path}::{name}" for path, name in NAMED if name not in functions(ROOT / path)]
    assert lost == []
    assert len(NAMED) > 30


def functions(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body if path.is_file() else []
    return {each.name for each in body if isinstance(each, ast.FunctionDef)}


def test_every_attack_is_told_of():
    for path in (
        "test_locked.py",
        "test_wandering.py",
        "hub/test_hostile.py",
        "hub/test_secrets.py",
    ):
        assert any(named == f"tests/{path}" for named, _ in NAMED)


def test_every_command_is_watched_or_said_to_use_the_network():
    text = (ROOT / "tests" / "test_locked.py").read_text(encoding="utf-8")
    watched = set(re.findall(r'^    \["([\w-]+)"', text, re.MULTILINE))
    there = {each.name or each.callback.__name__ for each in app.registered_commands}
    assert there - watched == {"push"}


def test_the_page_is_linked():
    for page in ("README.md", "docs/hub.md", "docs/publishing.md"):
        assert "SECURITY.md" in (ROOT / page).read_text(encoding="utf-8")


def test_links_of_the_page_lead_somewhere():
    for link in re.findall(r"\]\(([^)#:]+)", PAGE):
        assert (ROOT / link).exists(), link
