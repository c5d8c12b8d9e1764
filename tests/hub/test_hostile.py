"""A Hub that means harm: nothing leaves the cache, and memory and time stay bounded."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from bucket import Bucket
from loopback import TOKEN, Fault, Hub
from mergegraph_sources import objects
from mergegraph_sources.parts.naming import is_plain
from mergegraph_sources.parts.repository import Wanted
from mergegraph_sources.parts.wire import check_way

from mergegraph import MergeGraphError


def files_below(folder):
    return {each for each in folder.rglob("*") if each.is_file()}


def told(hub, **changes):
    """Have the Hub answer with something else when it is asked about a model."""
    body = {"id": "org/name", "sha": "a" * 40, "siblings": [], **changes}
    hub.answers["/api/models/"] = json.dumps(body).encode()


# -- names -----------------------------------------------------------------------------------

AWAY = ["../evil", "/etc/evil", "a/../../evil", "a\\..\\evil", "..", ".", "", "a//b", "a/./b", "a/"]
UNFIT = ["nul\0", "esc\x1b[31m", "line\nline", "\u202eevil", "x" * 256, "/".join(["x" * 200] * 9)]


@pytest.mark.parametrize("name", [*AWAY, *UNFIT, 3, None, ["a"]], ids=repr)
def test_names_that_lead_away_or_cannot_be_written_are_refused(hub, opened, tmp_path, name):
    file = {"rfilename": name, "size": 2, "blobId": "0" * 40}
    told(hub, siblings=[file])
    before = files_below(tmp_path)
    with pytest.raises(MergeGraphError, match="does not say what") as caught:
        opened("org/name")
    assert str(caught.value).isprintable()
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("name", ["con", "NUL.json", "a:b", "c:evil", "a/com1.txt", "dot.", "q?"])
def test_names_of_devices_and_streams_are_refused_where_they_are_such(name):
    assert not is_plain(name, system="nt")
    assert is_plain(name, system="posix")


@pytest.mark.parametrize(
    "name", ["a.json", "a/b/c.safetensors", ".gitattributes", "a b (1).png", "é"]
)
def test_names_of_files_are_names(name):
    assert is_plain(name, system="nt")


@pytest.mark.parametrize("digest", ["../../../../evil", "0" * 41, "G" * 40, "", None, 7], ids=repr)
def test_digests_that_are_none_are_refused(hub, opened, digest):
    told(hub, siblings=[{"rfilename": "a", "size": 2, "blobId": digest}])
    with pytest.raises(MergeGraphError, match="does not say what"):
        opened("org/name")
    told(hub, siblings=[{"rfilename": "a", "size": 2, "lfs": {"sha256": digest, "size": 2}}])
    with pytest.raises(MergeGraphError, match="does not say what"):
        opened("org/name")


@pytest.mark.parametrize("size", [-1, 1.5, "2", None, True], ids=repr)
def test_sizes_that_are_none_are_refused(hub, opened, size):
    told(hub, siblings=[{"rfilename": "a", "size": size, "blobId": "0" * 40}])
    with pytest.raises(MergeGraphError, match="does not say what"):
        opened("org/name")


@pytest.mark.parametrize(
    "name", ["../../evil", "a/b/c", "x\x1b[2J/y", "org/" + "n" * 300, 5], ids=repr
)
def test_another_name_for_the_model_must_be_one(hub, opened, name):
    told(hub, id=name)
    with pytest.raises(MergeGraphError, match="is it a Hub") as caught:
        opened("org/name")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("commit", ["main", "../../x", "A" * 40, 4, None], ids=repr)
def test_commit_must_be_one(hub, opened, commit):
    told(hub, sha=commit)
    with pytest.raises(MergeGraphError, match="names no commit"):
        opened("org/name")


@pytest.mark.parametrize(
    "revision", ["../../x", "/etc/passwd", "a\\b", "x" * 400, "a\0", "..", "a//b"]
)
def test_revision_that_leads_away_is_none(revision):
    """It is a file of the cache, of which the commit is read or written."""
    with pytest.raises(MergeGraphError, match="no branch, tag or commit"):
        Wanted.parse(f"org/name@{revision}")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"[" * 100_000, b"\xff", b"", b"{"])
def test_answers_that_are_no_answers_are_told(hub, opened, body):
    hub.answers["/api/models/"] = body
    with pytest.raises(MergeGraphError, match=r"is it a Hub|does not speak as the Hub does"):
        opened("org/name")


# -- what is written ---------------------------------------------------------------------------


@pytest.mark.parametrize("etag", ['"../../../../../evil"', '"/tmp/evil-of-mergegraph"', '"a/b"'])
def test_headers_do_not_say_where_files_go(hub, opened, tmp_path, etag):
    hub.add("org/name", {"config.json": b"{}"})
    hub.headers = {"ETag": etag, "X-Linked-Etag": etag}
    tree = opened("org/name")
    tree.fetch(["config.json"], lambda _: None)
    assert (tree.root / "config.json").read_bytes() == b"{}"
    cache = tmp_path / "hf" / "hub"
    assert files_below(tmp_path) == files_below(cache)
    assert not Path("/tmp/evil-of-mergegraph").exists()
    assert {each.name for each in cache.rglob("*") if "evil" in each.name} == set()


def test_small_files_are_checked_against_their_digests_too(hub, opened):
    hub.add("org/name", {"config.json": b"{}"})
    tree = opened("org/name")
    hub.repos["org/name"].commits[tree.root.name]["config.json"] = b"[]"
    with pytest.raises(MergeGraphError, match="came with other bytes than its SHA-1 says"):
        tree.fetch(["config.json"], lambda _: None)
    assert not (tree.root / "config.json").exists()


def test_file_that_is_a_folder_too_ends_in_a_sentence(hub, opened):
    hub.add("org/name", {"a": b"1", "a/b": b"2"})
    tree = opened("org/name")
    with pytest.raises(MergeGraphError, match=r"is in the way|Not a directory|File exists"):
        tree.fetch(["a", "a/b"], lambda _: None)


# -- how much, and how long ------------------------------------------------------------------


def test_list_without_end_is_given_up(hub, opened, monkeypatch):
    from mergegraph_sources.parts import repository

    monkeypatch.setattr(repository, "_LARGEST_LIST", 2**20)
    hub.endless = "/api/models/"
    with pytest.raises(MergeGraphError, match="does not speak as the Hub does"):
        opened("org/name")
    assert hub.poured < 2**24


def test_error_without_end_is_not_read_to_the_end(hub, opened):
    hub.endless, hub.endless_status = "/api/models/", 403
    with pytest.raises(MergeGraphError, match="forbids it"):
        opened("org/name")
    assert hub.poured < 2**24


def test_body_that_would_unpack_to_more_is_not_unpacked(hub, opened):
    import gzip

    hub.answers["/api/models/"] = gzip.compress(b"[" * 10**7)
    hub.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(MergeGraphError, match="does not speak as the Hub does"):
        opened("org/name")


def test_small_file_that_is_said_to_be_huge_is_not_read(hub, opened):
    told(hub, siblings=[{"rfilename": "config.json", "size": 10**13, "blobId": "0" * 40}])
    with pytest.raises(MergeGraphError, match="10000000000000 bytes are too many"):
        opened("org/name").read("config.json")


@pytest.mark.parametrize("where", ["/api/models/", "/resolve/"])
def test_server_that_drips_is_given_up(hub, slow, where):
    hub.add("org/name", {"config.json": b"{}" + b" " * 20_000})
    hub.drips = where
    began = time.monotonic()
    with pytest.raises(MergeGraphError, match=r"cannot be reached \(CutError\)"):
        slow("org/name").read("config.json")
    assert time.monotonic() - began < 5


def test_server_that_is_slow_but_goes_on_is_waited_for(hub, slow):
    hub.add("org/name", {"model.safetensors": bytes(2**20)})
    hub.pace = 0.15
    assert slow("org/name").read("model.safetensors") == bytes(2**20)


# -- ways --------------------------------------------------------------------------------------


def test_token_does_not_follow_to_another_host(hub, opened, monkeypatch):
    """Nor to another port of this one."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.add("org/name", {"config.json": b"{}"})
    other = Hub()
    other.add("org/name", {"config.json": b"{}"})
    for place in (f"http://localhost:{hub.port}", other.endpoint):
        hub.forget()
        target = f"{place}/api/models/org/name/revision/main?blobs=true"
        hub.faults.append(Fault("/api/", status=307, headers={"Location": target}))
        opened("org/name")
        tokens = [each.token for each in (*hub.gets("/api/"), *other.gets("/api/"))]
        assert tokens == [f"Bearer {TOKEN}", None]
    other.close()


def test_way_from_https_to_http_is_not_taken():
    check_way("http://127.0.0.1/a", "http://localhost/b")
    check_way("https://hub/a", "https://cdn/b")
    with pytest.raises(ValueError, match="from https to http"):
        check_way("https://hub/a", "http://hub/a")


def test_circle_of_redirects_ends_in_a_sentence(hub, opened):
    target = f"{hub.endpoint}/api/models/org/name/revision/main?blobs=true"
    hub.faults.append(Fault("/api/", times=10**6, status=307, headers={"Location": target}))
    with pytest.raises(MergeGraphError, match=r"cannot be reached|status 307"):
        opened("org/name")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "//", "http://[::1"])
def test_redirects_to_what_is_no_web_address_end_in_a_sentence(hub, opened, target):
    hub.faults.append(Fault("/api/", times=10**6, status=302, headers={"Location": target}))
    with pytest.raises(MergeGraphError, match="org/name: "):
        opened("org/name")


# -- object stores -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "a\\b", "x" * 300])
def test_names_in_a_bucket_that_lead_away_are_refused(tmp_path, monkeypatch, name):
    pytest.importorskip("obstore")
    bucket = Bucket()
    settings = {"AWS_ALLOW_HTTP": "true", "AWS_SKIP_SIGNATURE": "true", "AWS_REGION": "x"}
    for key, value in {**settings, "AWS_ENDPOINT_URL": bucket.endpoint}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("MERGEGRAPH_CACHE", str(tmp_path / "cache"))
    bucket.files = {"models/a/config.json": b"{}", f"models/a/{name}": b"1"}
    with pytest.raises(MergeGraphError, match=r"s3://models/a: (holds|cannot be read)"):
        objects.open_model("s3", "//models/a")
    assert files_below(tmp_path) == set()
    bucket.close()
