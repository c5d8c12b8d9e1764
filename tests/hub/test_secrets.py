"""Secrets on their way: whatever goes wrong, nobody reads them."""

from __future__ import annotations

import sys
import traceback

import pytest
from bucket import Bucket
from loopback import TOKEN, Fault

import mergegraph
from mergegraph.cli import main

SIGNATURE = "s1gNed-f0r-a-while"
ASKED = ["/api/", "/resolve/", "/cdn/"]


@pytest.fixture
def said(capsys, tmp_path, monkeypatch):
    """Carry out a command; gives its status and all that is printed, with its traceback at last."""
    from mergegraph_sources.parts import wire

    monkeypatch.setattr(wire, "_wait", lambda *_: 0.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def run(*arguments):
        capsys.readouterr()
        status = 1
        try:
            main([str(each) for each in arguments])
        except SystemExit as end:
            status = end.code or 0
        except (mergegraph.MergeGraphError, OSError):
            sys.excepthook(*sys.exc_info())
        told = capsys.readouterr()
        return status, told.out + told.err

    return run


def written(folder):
    """All bytes of all files, and their names."""
    return b"".join(str(p).encode() + p.read_bytes() for p in folder.rglob("*") if p.is_file())


def assert_kept(text, folder, *secrets):
    for secret in secrets:
        assert secret not in text
        assert secret.encode() not in written(folder)


# -- the Hub -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_debugged", [False, True])
@pytest.mark.parametrize("where", ASKED)
@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_failures_of_the_hub_tell_no_secret(
    hub, family, recipe, connected, said, tmp_path, status, where, is_debugged
):
    hub.signature = SIGNATURE
    echoed = f"token {TOKEN} of {hub.endpoint}/cdn/?signature={SIGNATURE} is refused"
    headers = {"X-Error-Message": echoed, "WWW-Authenticate": f"Bearer {TOKEN}"}
    hub.faults.append(Fault(where, times=10**6, status=status, headers=headers))
    options = ["--debug"] if is_debugged else []
    found, text = said("run", recipe("org/tuned-1"), "--out", "out", *options)
    assert found != 0
    assert "org/tuned-1: " in text
    assert ("Traceback" in text) == is_debugged
    assert_kept(text, tmp_path, TOKEN, SIGNATURE)


@pytest.mark.parametrize("times", [1, 100])
def test_dropped_connections_tell_no_secret(hub, family, recipe, connected, said, tmp_path, times):
    hub.signature = SIGNATURE
    hub.faults.append(Fault("/cdn/", times=times, cut_after=100))
    _, text = said("run", recipe("org/tuned-1"), "--out", "out", "--debug", "--trace", "t.json")
    assert_kept(text, tmp_path, TOKEN, SIGNATURE)


@pytest.mark.parametrize("options", [[], ["--stream"]])
def test_what_works_tells_no_secret(hub, family, recipe, connected, said, tmp_path, options):
    hub.signature = SIGNATURE
    path = recipe("org/tuned-1", "org/tuned-2")
    status, text = said("run", path, "--out", "out", "--trace", "t.json", *options)
    assert status == 0, text
    for command in (["plan", path, "--format", "json"], ["verify", "out"], ["ancestry", "out"]):
        text += said(*command)[1]
    text += said("reproduce", "out")[1]
    assert f"Bearer {TOKEN}" in {each.token for each in hub.requests}
    assert_kept(text, tmp_path, TOKEN, SIGNATURE)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "https://127.0.0.1:{port}"])
def test_hub_that_does_not_answer_or_speaks_another_way_tells_no_secret(
    hub, recipe, connected, said, tmp_path, monkeypatch, endpoint
):
    """Nobody listens, or there is no TLS."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", endpoint.format(port=hub.port))
    status, text = said("plan", recipe("org/tuned-1"), "--debug")
    assert status == 1
    assert "cannot be reached" in text
    assert_kept(text, tmp_path, TOKEN)


def test_errors_behind_an_error_tell_no_secret(hub, family, opened):
    """As they are seen from Python, where no command line stands between."""
    hub.signature = SIGNATURE
    hub.faults.append(Fault("/cdn/", times=100, status=500))
    with pytest.raises(mergegraph.MergeGraphError) as caught:
        opened("org/tuned-1").read("model.safetensors", 0, 8)
    text = "".join(traceback.format_exception(caught.value))
    assert "HTTPStatusError" in text or "HfHubHTTPError" in text
    assert SIGNATURE not in text


# -- object stores and the web -----------------------------------------------------------------


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    pytest.importorskip("obstore")
    server = Bucket()
    settings = {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "AKIA" + "ABCD" * 4,
        "AWS_SECRET_ACCESS_KEY": "sEcRet/" * 6,
        "AWS_SESSION_TOKEN": "sEssiOn+" * 6,
        "AWS_REGION": "us-east-1",
        "MERGEGRAPH_CACHE": str(tmp_path / "cache"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


STORED = ["ABCD" * 4, "sEcRet/", "sEssiOn+"]


@pytest.mark.parametrize("fault", ["none", "closed", "gone", "not there"])
def test_stores_tell_no_secret(bucket, recipe, said, tmp_path, fault):
    from mergegraph.testing import tiny_checkpoint

    folder = tiny_checkpoint(tmp_path / "local")
    for each in folder.iterdir():
        bucket.files[f"models/a/{each.name}"] = each.read_bytes()
    bucket.is_closed_to_all = fault == "closed"
    if fault == "gone":
        bucket.close()
    path = recipe("s3://models/b" if fault == "not there" else "s3://models/a")
    status, text = said("run", path, "--out", "out", "--debug", "--trace", "t.json")
    assert (status == 0) == (fault == "none"), text
    assert_kept(text, tmp_path, *STORED)


@pytest.mark.parametrize(
    "reference",
    [
        "https://me:pAssw0rd@127.0.0.1:9/a",
        "https://127.0.0.1:9/a?X-Amz-Signature=pAssw0rd",
        "https://127.0.0.1:9/a?token=pAssw0rd#x",
        "s3://me:pAssw0rd@bucket/a",
        "nowhere://me:pAssw0rd@host/a",
        "hf:org/name@hf_pAssw0rdpAssw0rdpAssw0rd",
    ],
)
def test_secrets_in_references_are_refused_and_not_shown(said, recipe, tmp_path, reference):
    path = recipe(reference)
    for command in ("plan", "run"):
        status, text = said(command, path, "--out", "out")
        assert status == 2
        assert "pAssw0rd" not in text
    assert not (tmp_path / "out").exists()
    status, text = said("extract-lora", "--model", reference, "--base", "demo:base", "--out", "out")
    assert status == 2
    assert "pAssw0rd" not in text


# -- recipes -----------------------------------------------------------------------------------

NAMED = "hf_" + "pAssw0rd" * 4
TIES = """# HF_TOKEN={token}
merge_method: linear
models: [{{model: demo:north}}, {{model: demo:east}}]
parameters: {{weight: 1}}  # https://me:{token}@host
"""


def test_comments_of_recipes_are_told_without_secrets(said, tmp_path):
    (tmp_path / "r.yaml").write_text(TIES.format(token=NAMED))
    status, text = said("run", "r.yaml", "--out", "out", "--trace", "t.json")
    assert status == 0, text
    assert "r.yaml:1: holds what looks like a token" in text
    assert "take it out and have it revoked" in text
    status, more = said("reproduce", "out")
    assert status == 0, more
    (tmp_path / "r.yaml").unlink()
    assert_kept(text + more, tmp_path, NAMED)


@pytest.mark.parametrize(
    "setting",
    ["chat_template={{% if x %}}{token}{{% endif %}}", "a{token}.b.c=3", "models.0.model={token}"],
)
def test_secrets_in_settings_are_refused_and_not_shown(said, tmp_path, setting):
    (tmp_path / "r.yaml").write_text(TIES.format(token="***"))
    status, text = said("run", "r.yaml", "--out", "out", "--set", setting.format(token=NAMED))
    assert status == 2
    assert_kept(text, tmp_path, NAMED)


def test_secrets_in_recipes_of_experts_are_refused(said, tmp_path):
    expert = f"{{source_model: demo:north, positive_prompts: ['{NAMED}']}}"
    (tmp_path / "e.yaml").write_text(f"base_model: demo:base\nexperts:\n- {expert}\n")
    status, text = said("moe", "e.yaml", "--out", "out")
    assert status == 2
    assert "e.yaml:3:" in text
    assert NAMED not in text
