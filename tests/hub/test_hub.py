"""The Hub as a source: what is asked of it, what comes of its answers, and what is kept."""

from __future__ import annotations

import json
import random

import pytest
from loopback import TOKEN, Fault, Hollow
from mergegraph_sources.parts.repository import Wanted

from mergegraph import MergeGraphError

KILOBYTE = 1000


def shard(nbytes, tensors=60):
    """A shard of zeros, with its header."""
    each = nbytes // tensors // 2
    told = {
        f"layers.{i}.weight": {
            "dtype": "BF16",
            "shape": [each],
            "data_offsets": [2 * each * i, 2 * each * (i + 1)],
        }
        for i in range(tensors)
    }
    text = json.dumps(told).encode()
    return Hollow(len(text).to_bytes(8, "little") + text, 8 + len(text) + 2 * each * tensors)


def noise(nbytes):
    return random.Random(nbytes).randbytes(nbytes)


def header(tree, name):
    length = int.from_bytes(tree.read(name, 0, 8), "little")
    return json.loads(tree.read(name, 8, 8 + length))


# -- references ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/name", Wanted("org/name", "", "main")),
        ("gpt2", Wanted("gpt2", "", "main")),
        ("org/name@v1.0", Wanted("org/name", "", "v1.0")),
        ("//org/name@refs/pr/3", Wanted("org/name", "", "refs/pr/3")),
        ("org/name/unet@v1", Wanted("org/name", "unet", "v1")),
        ("org/name/model.safetensors", Wanted("org/name", "model.safetensors", "main")),
        (f"org/name@{'a' * 40}/unet", Wanted("org/name", "unet", "a" * 40)),
    ],
)
def test_reference_names_a_model_a_place_in_it_and_a_revision(text, expected):
    assert Wanted.parse(text) == expected


@pytest.mark.parametrize("text", ["", "//", "@main", "org/../name"])
def test_reference_to_no_model_is_refused(text):
    with pytest.raises(MergeGraphError, match="names no model"):
        Wanted.parse(text)


# -- trees -----------------------------------------------------------------------------------


def test_revision_becomes_a_commit(hub, opened):
    old = hub.add("org/name", {"config.json": b"{}"}, ref="v1")
    new = hub.add("org/name", {"config.json": b"[]"})
    assert opened("org/name@v1").label == f"org/name@{old}"
    assert opened("org/name").label == f"org/name@{new}"
    assert opened(f"org/name@{old}").read("config.json") == b"{}"


def test_label_names_the_same_files_again(hub, opened):
    hub.add("org/name", {"unet/config.json": b"{}", "config.json": b"[]"})
    tree = opened("org/name/unet")
    assert tree.names() == ("config.json",)
    again = opened(tree.label.removeprefix("hf:"))
    assert (again.label, again.root) == (tree.label, tree.root)
    assert again.read("config.json") == b"{}"


def test_one_file_is_a_model_too(hub, opened):
    hub.add("org/name", {"a/one.safetensors": b"1" * 20, "a/config.json": b"{}"})
    tree = opened("org/name/a/one.safetensors")
    assert tree.single == "one.safetensors"
    assert tree.read("one.safetensors", 3, 5) == b"11"


def test_headers_of_a_large_model_cost_kilobytes(hub, opened):
    names = [f"model-{i:05}-of-00010.safetensors" for i in range(1, 11)]
    hub.add("org/large", {name: shard(10**9) for name in names})
    tree = opened("org/large")
    assert sum(map(tree.nbytes, names)) > 9 * 10**9
    assert all(len(header(tree, name)) == 60 for name in names)
    assert hub.sent < 700 * KILOBYTE
    assert len(hub.gets("/cdn/")) == 10


def test_long_header_takes_one_more_request(hub, opened):
    hub.add("org/name", {"model.safetensors": shard(10**9, tensors=5000)})
    assert len(header(opened("org/name"), "model.safetensors")) == 5000
    assert len(hub.gets("/cdn/")) == 2


def test_any_range_is_what_the_file_has_there(hub, opened):
    data = noise(300_000)
    hub.add("org/name", {"model.safetensors": data})
    tree = opened("org/name")
    for start, stop in ((0, 10), (65_530, 65_540), (0, 300_000), (299_999, 300_000), (7, 200_000)):
        assert tree.read("model.safetensors", start, stop) == data[start:stop]


def test_identity_is_of_the_content(hub, opened):
    for name in ("org/one", "org/two"):
        hub.add(name, {"model.safetensors": b"same", "config.json": b"{}"})
    one, two = opened("org/one"), opened("org/two")
    for file in one.names():
        assert one.identity(file) == two.identity(file)


def test_renamed_model_goes_by_its_new_name(hub, opened):
    commit = hub.add("new/name", {"config.json": b"{}"})
    hub.add("old/name", {}, moved_to="new/name")
    assert opened("old/name").label == f"new/name@{commit}"


# -- fetching --------------------------------------------------------------------------------


def test_fetching_brings_what_is_asked_for_into_the_cache(hub, opened):
    data = noise(6_000_000)
    files = {"config.json": b"{}", "model.safetensors": data, "other.safetensors": b"no"}
    hub.add("org/name", files)
    tree, counts = opened("org/name"), []
    tree.fetch(["config.json", "model.safetensors"], counts.append)
    assert (tree.root / "model.safetensors").read_bytes() == data
    assert not (tree.root / "other.safetensors").exists()
    assert sum(counts) == len(data) + 2


def test_what_is_cached_is_read_from_there(hub, opened):
    hub.add("org/name", {"model.safetensors": noise(1000), "config.json": b"{}"})
    opened("org/name").fetch(["model.safetensors"], lambda _: None)
    hub.forget()
    tree = opened("org/name")
    assert tree.read("model.safetensors", 10, 20) == noise(1000)[10:20]
    tree.fetch(["model.safetensors"], lambda _: None)
    assert [each.path.partition("?")[0] for each in hub.requests] == [
        "/api/models/org/name/revision/main"
    ]


def test_library_finds_what_was_fetched(hub, opened, tmp_path):
    """The cache is the Hub's own: others need not fetch again."""
    from huggingface_hub import snapshot_download, try_to_load_from_cache

    hub.add("org/name", {"model.safetensors": noise(5_000_000), "config.json": b"{}"})
    tree = opened("org/name")
    tree.fetch(tree.names(), lambda _: None)
    cache = tmp_path / "hf" / "hub"
    found = try_to_load_from_cache("org/name", "model.safetensors", cache_dir=cache)
    assert found == str(tree.root / "model.safetensors")
    folder = snapshot_download("org/name", cache_dir=cache, local_files_only=True)
    assert folder == str(tree.root)


@pytest.mark.parametrize("times", [1, 3])
def test_dropped_connections_are_resumed_where_they_dropped(hub, opened, times):
    data = noise(8_000_000)
    hub.add("org/name", {"model.safetensors": data})
    hub.faults.append(Fault("/cdn/", times=times, cut_after=1_500_000))
    tree = opened("org/name")
    tree.fetch(tree.names(), lambda _: None)
    assert (tree.root / "model.safetensors").read_bytes() == data
    assert hub.sent < 10_000_000


def test_stopped_download_goes_on_where_it_was(hub, opened):
    data = noise(8_000_000)
    hub.add("org/name", {"model.safetensors": data})

    def stop(nbytes):
        if len(hub.gets("/cdn/")) or nbytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        opened("org/name").fetch(["model.safetensors"], stop)
    tree = opened("org/name")
    part = next((tree.root.parents[1] / "blobs").glob("*.incomplete"))
    part.write_bytes(data[:5_000_000])
    hub.forget()
    counts = []
    tree.fetch(["model.safetensors"], counts.append)
    assert (tree.root / "model.safetensors").read_bytes() == data
    assert sum(counts) == len(data)
    assert hub.gets("/cdn/")[0].range == f"bytes=5000000-{len(data) - 1}"


def test_wrong_bytes_are_not_kept(hub, opened):
    hub.add("org/name", {"model.safetensors": noise(5_000_000)})
    tree = opened("org/name")
    blobs = tree.root.parents[1] / "blobs"
    blobs.mkdir(parents=True)
    name = f"{tree.identity('model.safetensors').removeprefix('sha256:')}.mergegraph.incomplete"
    (blobs / name).write_bytes(b"wrong")
    with pytest.raises(MergeGraphError, match="came with other bytes than its SHA-256 says"):
        tree.fetch(tree.names(), lambda _: None)
    tree.fetch(tree.names(), lambda _: None)
    assert (tree.root / "model.safetensors").read_bytes() == noise(5_000_000)


def test_failure_of_one_file_stops_the_others(hub, opened):
    files = {f"{i}.safetensors": noise(5_000_000 + i) for i in range(4)}
    hub.add("org/name", files)
    hub.faults.append(Fault("3.safetensors", times=100, status=404))
    tree = opened("org/name")
    with pytest.raises(MergeGraphError, match="404"):
        tree.fetch(files, lambda _: None)


# -- addresses that are signed ---------------------------------------------------------------


def test_token_stays_with_the_hub(hub, opened, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.add("org/name", {"model.safetensors": noise(200_000)}, private=True)
    opened("org/name").read("model.safetensors")
    assert {each.token for each in hub.gets("/api/")} == {f"Bearer {TOKEN}"}
    assert {each.token for each in hub.gets("/cdn/")} == {None}


def test_signed_address_is_asked_for_once(hub, opened):
    hub.add("org/name", {"model.safetensors": noise(9_000_000)})
    tree = opened("org/name")
    for start in range(0, 9_000_000, 3_000_000):
        tree.read("model.safetensors", start, start + 3_000_000)
    assert len(hub.gets("/resolve/")) == 1
    assert len(hub.gets("/cdn/")) == 3


def test_address_whose_signature_ran_out_is_asked_for_again(hub, opened):
    hub.add("org/name", {"model.safetensors": noise(9_000_000)})
    tree = opened("org/name")
    tree.read("model.safetensors", 0, 3_000_000)
    hub.signature += 1
    assert tree.read("model.safetensors", 10, 3_000_010) == noise(9_000_000)[10:3_000_010]
    assert len(hub.gets("/resolve/")) == 2


# -- what goes wrong -------------------------------------------------------------------------


def test_model_that_is_not_there_is_told(hub, opened):
    with pytest.raises(
        MergeGraphError, match=r"^org/none: no such model at http.*; check the name"
    ):
        opened("org/none")


def test_gated_model_says_where_its_terms_are(hub, opened):
    hub.add("org/name", {"model.safetensors": noise(100)}, gated=True)
    with pytest.raises(MergeGraphError) as caught:
        opened("org/name").read("model.safetensors", 0, 8)
    accept = f"accept its terms at {hub.endpoint}/org/name, and log in"
    assert str(caught.value).startswith(f"org/name: gated; {accept}")


def test_private_model_is_read_with_a_token(hub, opened, monkeypatch):
    hub.add("org/name", {"config.json": b"{}"}, private=True)
    with pytest.raises(MergeGraphError, match="if it is private, log in"):
        opened("org/name")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert opened("org/name").read("config.json") == b"{}"


def test_bad_token_is_told_and_not_shown(hub, opened, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    hub.add("org/name", {"config.json": b"{}"})
    with pytest.raises(MergeGraphError, match="the token is not valid") as caught:
        opened("org/name")
    assert "hf_wrong" not in str(caught.value)


def test_unknown_revision_has_a_nearest(hub, opened):
    hub.add("org/name", {"config.json": b"{}"}, ref="version-1")
    with pytest.raises(
        MergeGraphError, match=r"no revision 'verson-1'; did you mean 'version-1'\?"
    ):
        opened("org/name@verson-1")
    with pytest.raises(MergeGraphError, match="no revision 'x'; there are version-1"):
        opened("org/name@x")


def test_server_that_is_gone_is_told(hub, opened):
    hub.close()
    with pytest.raises(
        MergeGraphError, match=r"cannot be reached .*; name a directory, or set HF_HUB"
    ):
        opened("org/name")


def test_server_that_fails_once_is_asked_again(hub, opened):
    hub.add("org/name", {"config.json": b"{}"})
    hub.faults += [Fault("/api/", status=503), Fault("/resolve/", status=500, times=2)]
    assert opened("org/name").read("config.json") == b"{}"


def test_server_that_keeps_failing_is_told(hub, opened):
    hub.faults.append(Fault("/api/", status=503, times=100))
    with pytest.raises(MergeGraphError, match=r"fails \(status 503\); run again later"):
        opened("org/name")


def test_too_many_requests_are_waited_for(hub, opened):
    hub.add("org/name", {"config.json": b"{}"})
    hub.faults.append(Fault("/resolve/", status=429, headers={"Retry-After": "0"}, times=2))
    assert opened("org/name").read("config.json") == b"{}"


def test_too_many_requests_for_long_are_told(hub, opened):
    hub.faults.append(Fault("/api/", status=429, headers={"RateLimit": '"api";r=0;t=0'}, times=100))
    with pytest.raises(MergeGraphError, match="too many requests; run again in 1 s, or log in"):
        opened("org/name")


def test_server_that_is_no_hub_is_told(hub, opened):
    hub.add("org/name", {"config.json": b"{}"})
    hub.faults.append(Fault("/api/", status=200, headers={}))
    with pytest.raises(MergeGraphError, match="does not speak as the Hub does"):
        opened("org/name")


@pytest.mark.parametrize("name", ["../out.json", "/etc/x", "a/../../b"])
def test_names_that_lead_out_of_the_cache_are_refused(hub, opened, name):
    hub.add("org/name", {name: b"{}"})
    with pytest.raises(MergeGraphError, match="does not say what"):
        opened("org/name")
