"""Object stores and the web as sources."""

from __future__ import annotations

import random
import sys

import pytest
from bucket import Bucket
from mergegraph_sources.objects import open_model

import mergegraph
from mergegraph import MergeGraphError
from mergegraph.testing import tiny_family

pytest.importorskip("obstore")


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """A bucket called `models`, reached as a store of S3 and over the web."""
    server = Bucket()
    settings = {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_REGION": "us-east-1",
        "MERGEGRAPH_CACHE": str(tmp_path / "cache"),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


def noise(nbytes):
    return random.Random(nbytes).randbytes(nbytes)


def files_of(folder):
    return {each.name: each.read_bytes() for each in folder.iterdir()}


def opened(bucket, kind, path):
    if kind == "s3":
        return open_model("s3", f"//models/{path}")
    return open_model("http", f"//{bucket.endpoint.removeprefix('http://')}/models/{path}")


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_folder_has_its_files(bucket, kind):
    bucket.files = {
        "models/a/config.json": b"{}",
        "models/a/model.safetensors": noise(100),
        "models/ab/config.json": b"[]",
    }
    tree = opened(bucket, kind, "a")
    assert sorted(tree.names()) == ["config.json", "model.safetensors"]
    assert tree.read("config.json") == b"{}"
    assert tree.nbytes("model.safetensors") == 100


def test_shards_on_the_web_are_found_by_the_index(bucket):
    index = b'{"weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}}'
    bucket.files = {
        "models/a/model.safetensors.index.json": index,
        "models/a/x-1.safetensors": b"1",
        "models/a/x-2.safetensors": b"22",
    }
    tree = opened(bucket, "http", "a")
    assert {"x-1.safetensors", "x-2.safetensors"} < set(tree.names())


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_file_alone_is_a_model(bucket, kind):
    bucket.files = {"models/a/one.safetensors": noise(10), "models/a/config.json": b"{}"}
    tree = opened(bucket, kind, "a/one.safetensors")
    assert (tree.single, tree.names()) == ("one.safetensors", ("one.safetensors",))


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_ranges_are_read_and_no_more(bucket, kind):
    data = noise(5_000_000)
    bucket.files = {"models/a/model.safetensors": data}
    tree = opened(bucket, kind, "a")
    bucket.sent = 0
    for start, stop in ((0, 8), (8, 500), (4_000_000, 4_000_100)):
        assert tree.read("model.safetensors", start, stop) == data[start:stop]
    assert bucket.sent <= 2 * 2**16


def test_dropped_connections_are_resumed(bucket):
    data = noise(6_000_000)
    bucket.files = {"models/a/model.safetensors": data}
    tree = opened(bucket, "s3", "a")
    bucket.cut_after = [2_000_000]
    tree.fetch(["model.safetensors"], lambda _: None)
    assert (tree.root / "model.safetensors").read_bytes() == data
    assert bucket.sent < 9_000_000


def test_fetching_goes_on_where_it_stopped(bucket):
    data = noise(6_000_000)
    bucket.files = {"models/a/model.safetensors": data}
    tree = opened(bucket, "s3", "a")
    tree.root.mkdir(parents=True)
    (tree.root / "model.safetensors.incomplete").write_bytes(data[:4_000_000])
    counts = []
    tree.fetch(["model.safetensors"], counts.append)
    assert (tree.root / "model.safetensors").read_bytes() == data
    assert sum(counts) == len(data)
    assert bucket.requests[-1][2] == f"bytes=4000000-{len(data) - 1}"


def test_another_version_has_another_place_and_identity(bucket):
    bucket.files = {"models/a/model.safetensors": b"1"}
    old = opened(bucket, "s3", "a")
    bucket.files = {"models/a/model.safetensors": b"2"}
    new = opened(bucket, "s3", "a")
    assert old.root != new.root
    assert old.identity("model.safetensors") != new.identity("model.safetensors")
    with pytest.raises(MergeGraphError, match="changed while it was read; run again"):
        old.read("model.safetensors")


@pytest.mark.parametrize("is_streamed", [False, True])
def test_merge_of_a_bucket_is_that_of_the_same_files(bucket, tmp_path, is_streamed):
    folders = tiny_family(tmp_path / "family", hidden=64)
    for folder in folders:
        for name, data in files_of(folder).items():
            bucket.files[f"models/{folder.name}/{name}"] = data
    web = f"{bucket.endpoint}/models"
    merged = {}
    for name, models in {
        "far": ("s3://models/tuned-1", f"{web}/tuned-2"),
        "near": (folders[1], folders[2]),
    }.items():
        path = tmp_path / f"{name}.yaml"
        lines = [f"- model: {each}" for each in models]
        path.write_text("\n".join(["merge_method: linear", "models:", *lines]))
        options = ("parameters.weight=1.0",)
        mergegraph.run(path, out=tmp_path / name, stream=is_streamed, settings=options)
        merged[name] = (tmp_path / name / "model.safetensors").read_bytes()
    assert merged["far"] == merged["near"]
    assert any((tmp_path / "cache").rglob("*.safetensors")) != is_streamed


# -- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_empty_folder_is_told(bucket, kind):
    with pytest.raises(MergeGraphError, match="no such file, or no model in this folder"):
        opened(bucket, kind, "none")


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_refusal_is_told(bucket, kind):
    bucket.is_closed_to_all = True
    with pytest.raises(MergeGraphError, match="refuses it; give credentials by the environment"):
        opened(bucket, kind, "a")


def test_server_without_ranges_is_told(bucket):
    bucket.files = {"models/a/model.safetensors": noise(200_000)}
    bucket.knows_ranges = False
    tree = opened(bucket, "http", "a")
    with pytest.raises(MergeGraphError, match="sends whole files only; download it"):
        tree.read("model.safetensors", 100_000, 100_010)


@pytest.mark.parametrize("url", ["//me:word@host/a", "//host/a?signature=1"])
def test_secrets_in_addresses_are_refused_and_not_shown(url):
    with pytest.raises(MergeGraphError, match="no password and no query") as caught:
        open_model("https", url)
    assert "word@" not in str(caught.value)
    assert "signature" not in str(caught.value)


def test_missing_obstore_is_told(bucket, monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(MergeGraphError, match=r"pip install 'mergegraph\[remote\]'"):
        opened(bucket, "s3", "a")
