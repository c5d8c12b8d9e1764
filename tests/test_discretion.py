"""Discretion: what is taken out of texts, and what is left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from mergegraph.provenance.discretion import is_local_path, without_home, without_places


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model: /home/al/m", "model: ~/m"),
        ("/home/al", "~"),
        ("[/home/al/a, '/home/al/b']", "[~/a, '~/b']"),
        ("/home/al/a+/home/al/b", "~/a+~/b"),
        ("/home/alice/m", "/home/alice/m"),
        ("/data/home/al/m", "/data/home/al/m"),
    ],
)
def test_the_home_directory_becomes_a_tilde(monkeypatch, text, told):
    monkeypatch.setenv("HOME", "/home/al")
    assert without_home(text) == told


def test_a_home_that_is_the_root_is_none(monkeypatch):
    monkeypatch.setenv("HOME", "/")
    assert without_home("model: /m/a") == "model: /m/a"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model: /data/al/m", "model: m"),
        ("model: ~/al/m+~/al/lora", "model: m+lora"),
        ("model: C:\\Users\\al\\m", "model: m"),
        ("models.0.model=/data/m", "models.0.model=m"),
        ("[/x/a/final, /x/b/final]", "[final, final-2]"),
        ("[/x/final, ~/x/final]", "[final, final-2]"),
        ("model: /data/Acme Inc/the merger/m  # of /x/y", "model: m  # of y"),
        ("# file:///home/al/q", "# q"),
        ('"C:\\\\Users\\\\bob\\\\m"', '"m"'),
        (r"# \\srv\share\m", "# m"),
    ],
)
def test_paths_are_cut_to_their_ends(text, told):
    assert without_places([text])(text) == told


@pytest.mark.parametrize(
    "text",
    [
        "models/a",
        "../models/a",
        "org/name@main",
        "https://huggingface.co/a/b",
        "s3://bucket/a/b",
        r"filter: \.mlp\.up_proj\.weight",
        r'filter: "\\.mlp\\.up_proj"',
        "filter: mlp/x",
        "demo:north",
        "/",
    ],
)
def test_what_is_no_local_path_stays(text):
    assert without_places([text])(text) == text


def test_a_path_that_would_be_called_as_another_is_numbered():
    texts = ["final", "model: /x/y/final"]
    assert without_places(texts)("model: /x/y/final") == "model: final-2"


def test_paths_of_inputs_are_cut_whatever_characters_they_have():
    known = ["/x/Acme (north, secret)/m", "/x/Bob's: own/m", "/x/Acme (north, secret)/m 2"]
    text = f"[\"{known[0]}\", \"{known[1]}\"]\nbase: '{known[2]}'\n# '/x/Bob''s: own/m'"
    told = without_places([text], known)(text)
    assert told == "[\"m\", \"m-2\"]\nbase: 'm 2'\n# 'm-2'"


def test_local_paths_are_told_from_ids():
    assert is_local_path("/data/models/a")
    assert is_local_path("~/a")
    assert not is_local_path("org/name")
    assert Path("/data").is_absolute()
