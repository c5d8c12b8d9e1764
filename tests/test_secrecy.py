"""Secrecy: what is taken out of texts, and what is left as it was."""

from __future__ import annotations

import logging
import sys
import time

import pytest
import typer

from mergegraph import MergeGraphError
from mergegraph.cli.guarding import guarded
from mergegraph.errors import Problem, ProblemsError
from mergegraph.secrecy import without_secrets

TOKEN = "hf_" + "aB3dE6gH" * 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TOKEN, "hf_***"),
        (f"# export HF_TOKEN={TOKEN}  (mine)", "# export HF_TOKEN=hf_***  (mine)"),
        ("api_org_" + "a" * 34, "api_org_***"),
        ("ghp_" + "a1" * 18, "ghp_***"),
        ("key AKIAABCDEFGHIJKLMNOP", "key AKIA***"),
        ("aws_secret_access_key = " + "a/B+" * 10, "aws_secret_access_key = ***"),
        ("https://me:word@host/a", "https://***@host/a"),
        ("https://word@host/a", "https://***@host/a"),
        ("db+x://me:w%20rd@h:1/a", "db+x://***@h:1/a"),
        (
            "GET https://h/a?X-Amz-Credential=A/1/s3&b=1&X-Amz-Signature=f00 failed",
            "GET https://h/a?X-Amz-Credential=***&b=1&X-Amz-Signature=*** failed",
        ),
        (
            "'https://h/a?Policy=eyJ&Key-Pair-Id=K1&Signature=x~y'",
            "'https://h/a?Policy=***&Key-Pair-Id=***&Signature=***'",
        ),
        ("https://h/a?sv=1&sig=ab%3D#top", "https://h/a?sv=1&sig=***#top"),
        ("https://h/a?token=abc", "https://h/a?token=***"),
        ("Bearer abc.def-ghi", "Bearer ***"),
        ("{'authorization': 'Basic bWU6d29yZA=='}", "{'authorization': 'Basic ***'}"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nab\n-----END",
            "-----BEGIN RSA PRIVATE KEY-----***-----END",
        ),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig", "eyJ***"),
    ],
)
def test_secrets_are_taken_out_once_for_all(text, told):
    assert without_secrets(text) == told
    assert without_secrets(told) == told


@pytest.mark.parametrize(
    "text",
    [
        "org/name@main",
        "hf:org/name",
        "hf_model-00001-of-00002.safetensors",
        "s3://bucket/folder",
        "https://host/a?nw=1&x=2",
        "git@github.com:org/name and https://a/b, me@host",
        "a basic recipe, the bearer of keys; key: value",
        "model.layers.0.self_attn.k_proj.weight",
        "density=0.5",
        "parameters.key=3",
        "0123456789abcdef" * 4,
    ],
)
def test_what_is_no_secret_stays(text):
    assert without_secrets(text) == text


@pytest.mark.parametrize("name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCOUNT_KEY"])
def test_secrets_of_the_environment_are_known_whatever_they_look_like(monkeypatch, name):
    monkeypatch.setenv(name, "quite plain words")
    assert without_secrets("said quite plain words to") == "said *** to"


def test_short_values_of_the_environment_are_words(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "ties")
    assert without_secrets("merge_method: ties") == "merge_method: ties"


def test_no_error_tells_a_secret():
    problems = ProblemsError([Problem("r.yaml:1:1", f"{TOKEN}: no such model")])
    assert str(problems) == "r.yaml:1:1: hf_***: no such model"
    assert str(MergeGraphError(f"--set a={TOKEN}: odd")) == "--set a=hf_***: odd"


def test_long_texts_take_no_longer_than_they_must():
    """Each kind is looked for once, whatever the text repeats."""
    for part in ("?", "https://", "hf_", "eyJ", "a.b-c:", "-----BEGIN PRIVATE KEY-----", "&key="):
        assert without_secrets(part * (200_000 // len(part)))


def test_whatever_is_printed_goes_through_the_guard(capsys):
    """Also what libraries print, and log."""
    with guarded():
        typer.echo(TOKEN)
        sys.stderr.writelines([f"{TOKEN}\n", "plain\n"])
        handler = logging.StreamHandler()
        handler.emit(logging.makeLogRecord({"msg": f"GET https://h/a?sig={TOKEN}"}))
        assert sys.stdout.isatty() is False
    said = capsys.readouterr()
    assert said.out == "hf_***\n"
    assert said.err == "hf_***\nplain\nGET https://h/a?sig=***\n"


def test_the_guard_is_gone_afterwards(capsys):
    before = sys.stdout
    with guarded():
        assert sys.stdout is not before
    assert sys.stdout is before


@pytest.mark.parametrize(
    "text", ["a=b ?key" + "_a" * 20_000, "=" + "?auth" * 20_000, "=" + "a://" * 9000]
)
def test_texts_of_strangers_are_read_in_no_time(text):
    began = time.monotonic()
    without_secrets(text)
    assert time.monotonic() - began < 5
