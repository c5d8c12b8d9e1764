"""Pushing results: what others get to see, and how it comes to the Hub."""

from __future__ import annotations

import json
from hashlib import sha256
from types import SimpleNamespace

import pytest
import yaml
from safetensors.torch import load

import mergegraph
from mergegraph.cli import main
from mergegraph.testing import tiny_family
from mergegraph.trust.verification import verify

# of the library's own doing
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

RECIPE = """
merge_method: ties
base_model: {root}/models/base
models:
  - model: {root}/models/tuned-1
  - model: {root}/models/tuned-2
parameters: {{weight: 1, density: 0.5}}
"""


@pytest.fixture
def result(tmp_path, monkeypatch):
    """A result of models at home, by a recipe that names them in full."""
    home = tmp_path / "home" / "alice"
    monkeypatch.setenv("HOME", str(home))
    home.mkdir(parents=True)
    monkeypatch.chdir(home)
    for each in tiny_family(home / "models"):
        config = json.loads((each / "config.json").read_text())
        config["_name_or_path"] = str(home / "models" / "base")
        (each / "config.json").write_text(json.dumps(config))
        (each / "README.md").write_text("---\nlicense: mit\nlanguage: [en, no]\n---\n")
    (home / "r.yaml").write_text(RECIPE.format(root=home))
    mergegraph.run("r.yaml", out="out")
    return home / "out"


@pytest.fixture
def push(capsys):
    """Push from the command line: status, and what was said."""

    def run(*arguments):
        capsys.readouterr()
        try:
            main(["push", *map(str, arguments)])
        except SystemExit as done:
            said = capsys.readouterr()
            return SimpleNamespace(status=done.code or 0, out=said.out, err=said.err)
        raise AssertionError

    return run


def front(card):
    return yaml.safe_load(card.split("---")[1])


def test_a_result_is_pushed_whole(hub, result, push):
    found = push(result, "org/name")
    assert (found.status, found.err) == (0, "")
    assert found.out.strip().endswith("/org/name")
    files = hub.files("org/name")
    there = {path.relative_to(result).as_posix() for path in result.rglob("*") if path.is_file()}
    assert set(files) - {".gitattributes"} == there
    assert files["model.safetensors"] == (result / "model.safetensors").read_bytes()
    assert load(files["model.safetensors"])


def test_what_was_pushed_verifies_when_it_is_had_back(hub, result, push, tmp_path):
    push(result, "org/name")
    for name, data in hub.files("org/name").items():
        path = tmp_path / "back" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    found = verify(tmp_path / "back")
    assert (found.differences, found.notes) == ((), ())


def test_neither_home_nor_user_nor_token_is_pushed(hub, result, push, token):
    found = push(result, "org/name")
    for name, data in hub.files("org/name").items():
        for private in (str(result.parent), "alice", token):
            assert private.encode() not in data, name
    assert token not in found.out + found.err
    assert "alice" not in (result / "mergegraph.json").read_text()
    assert token not in "".join(
        path.read_text() for path in result.rglob("*") if path.suffix in (".json", ".md")
    )


def test_paths_of_a_recipe_are_cut_to_what_tells_them_apart(hub, result, push):
    push(result, "org/name")
    told = json.loads(hub.files("org/name")["mergegraph.json"])
    assert [each["model"] for each in told["inputs"]] == ["base", "tuned-1", "tuned-2"]
    assert "base_model: base\n" in told["recipe"]["text"]
    kept = json.loads((result / "mergegraph.json").read_text())
    assert kept["inputs"][0]["model"] == "~/models/base"


def test_the_card_is_made_for_its_place_on_the_hub(hub, result, push):
    push(result, "org/name")
    card = hub.files("org/name")["README.md"].decode()
    told = front(card)
    assert told["base_model_relation"] == "merge"
    assert told["license"] == "mit"
    assert told["language"] == ["en", "no"]
    assert told["tags"] == ["mergegraph", "merge", "ties"]
    assert "base_model" not in told, "local models have no id on the Hub"
    assert 'from_pretrained("org/name"' in card
    assert "# name\n" in card
    assert "mergekit" not in told["tags"]


def test_what_was_written_into_the_card_stays(hub, result, push):
    card = result / "README.md"
    text = card.read_text().replace("A merge of", "It writes sonnets. A merge of")
    text = text.replace("license: mit", "license: apache-2.0\ndatasets: [org/sonnets]")
    card.write_text(text.replace("- merge\n", "- merge\n- poetry\n"))
    assert push(result, "org/name").status == 0
    pushed = hub.files("org/name")["README.md"].decode()
    told = front(pushed)
    assert (told["license"], told["datasets"]) == ("apache-2.0", ["org/sonnets"])
    assert told["tags"] == ["mergegraph", "merge", "ties", "poetry"]
    assert "It writes sonnets." in pushed


def test_parents_on_the_hub_are_base_models(hub, result, push):
    path = result / "mergegraph.json"
    told = json.loads(path.read_text())
    told["inputs"][0] |= {"model": "org/base", "hub": "org/base", "commit": "a" * 40}
    told["inputs"][1]["inputs"] = [{"model": "org/old@main", "hub": "org/old"}]
    path.write_text(json.dumps(told))
    push(result, "org/name")
    card = hub.files("org/name")["README.md"].decode()
    assert front(card)["base_model"] == ["org/base", "org/old"]
    assert "[org/base](https://huggingface.co/org/base) at `aaaaaaaaaaaa`" in card


def test_licences_that_differ_are_told_and_warned_of(hub, result, push, tmp_path):
    (result.parent / "models" / "base" / "README.md").write_text("---\nlicense: gpl-3.0\n---\n")
    mergegraph.run("r.yaml", out="other")
    found = push("other", "org/name")
    assert "warning: the licences of the parents differ" in found.err
    card = hub.files("org/name")["README.md"].decode()
    assert front(card)["license"] == "other"
    assert "base: gpl-3.0; tuned-1: mit" in card


def test_what_does_not_verify_is_not_pushed(hub, result, push):
    weights = result / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-2] + b"!!")
    found = push(result, "org/name")
    assert found.status == 1
    assert "its bytes differ" in found.err
    assert "not pushed; --anyway pushes it" in found.err
    assert hub.requests == []
    assert push(result, "org/name", "--anyway").status == 0
    assert hub.files("org/name")["model.safetensors"] == weights.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["models/base", "org/name"],
         "models/base: holds no mergegraph.json; only results can be pushed"),
        (["out", "name"], "name: not a name on the Hub; write org/name"),
        (["out", "org/name@main"], "org/name@main: not a name on the Hub; write org/name"),
        (["out", "org/name", "--create-pr", "--revision", "x"],
         "--create-pr: a pull request is made against main; leave --revision out"),
    ],
)  # fmt: skip
def test_a_push_that_cannot_be_is_one_sentence(hub, result, push, arguments, told):
    found = push(*arguments)
    assert (found.status, found.err, hub.requests) == (2, f"{told}\n", [])


@pytest.mark.parametrize("repo", ["org/-x", "org/x..y", "org/x.git", f"org/{'x' * 120}"])
def test_a_name_that_the_hub_would_refuse_is_refused_before(hub, result, push, repo):
    found = push("out", repo)
    assert (found.status, hub.requests) == (2, [])
    assert f"{repo}: not a name on the Hub: " in found.err


def test_options_reach_the_hub(hub, result, push):
    push(result, "org/name", "--private", "--message", "First light")
    assert hub.visibility["org/name"] == "private"
    assert hub.commits == [("First light", "main", False)]
    push(result, "org/name", "--revision", "next")
    assert hub.commits[-1][1:] == ("next", False)
    assert push(result, "org/name", "--create-pr").out.strip().endswith("/discussions/1")
    assert hub.commits[-1][1:] == ("main", True)


def test_shards_of_an_earlier_state_are_removed(hub, result, push):
    mergegraph.run("r.yaml", out="sharded", shard_size="10KB")
    push("sharded", "org/name")
    assert "model.safetensors.index.json" in hub.files("org/name")
    push(result, "org/name")
    weights = [name for name in hub.files("org/name") if "safetensors" in name]
    assert weights == ["model.safetensors"]


def test_a_broken_push_sends_the_rest(hub, result, push):
    mergegraph.run("r.yaml", out="sharded", shard_size="10KB")
    hub.breaks_after = 1
    found = push("sharded", "org/name")
    assert found.status == 1
    assert "org/name: " in found.err
    assert hub.commits == []
    hub.breaks_after = None
    assert push("sharded", "org/name").status == 0
    assert (
        len(hub.puts)
        == len(set(hub.puts))
        == len(list((result.parent / "sharded").glob("*.safetensors")))
    )


def test_a_hub_that_is_out_of_reach_is_one_sentence(hub, result, push, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    found = push(result, "org/name")
    assert found.status == 1
    assert found.err.startswith("org/name: could not be sent: ")
    assert found.err.endswith("the same command sends what is missing\n")


def test_without_a_token_the_remedy_is_told(hub, result, push, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    found = push(result, "org/name")
    assert found.status == 1
    assert found.err == (
        "org/name: the Hub refuses; log in with a token that may write there: hf auth login\n"
    )


def test_a_result_of_an_older_manifest_can_be_pushed(hub, result, push):
    path = result / "mergegraph.json"
    told = json.loads(path.read_text())
    told["methods"] = {"ties": "mergegraph 0.1.0"}
    del told["sides"], told["weights"], told["device"], told["shard_size"], told["command"]
    path.write_text(json.dumps({**told, "format": 1}))
    assert push(result, "org/name").status == 0
    pushed = json.loads(hub.files("org/name")["mergegraph.json"])
    assert pushed["format"] == 2
    card = hub.files("org/name")["README.md"]
    assert pushed["sides"]["README.md"] == sha256(card).hexdigest()


# -- secrets -----------------------------------------------------------------------------------

SECRET = "hf_" + "pAssw0rd" * 4


def test_a_token_in_any_text_is_left_out_and_warned_of(hub, result, push):
    """Of an older result, say, or of somebody else's."""
    path = result / "mergegraph.json"
    told = json.loads(path.read_text())
    told["recipe"]["text"] += f"# {SECRET}\n"
    told["sides"]["notes.txt"] = sha256(SECRET.encode()).hexdigest()
    path.write_text(json.dumps(told))
    (result / "notes.txt").write_text(SECRET)
    (result / "README.md").write_text(f"# Mine\n{SECRET}\n")
    found = push(result, "org/name")
    assert found.status == 0, found.err
    assert "notes.txt: a token or password is left out of it" in found.err
    assert "README.md: a token or password is left out of it" in found.err
    assert "mergegraph.json: a token or password is left out of it" in found.err
    assert SECRET not in found.out + found.err
    for name, data in hub.files("org/name").items():
        assert SECRET.encode() not in data, name


def test_signed_addresses_of_uploads_are_not_told(hub, result, push):
    hub.breaks_after, hub.signature = 0, "X-Amz-Signature=s1gned"
    found = push(result, "org/name")
    assert found.status == 1
    assert "org/name: " in found.err
    assert "s1gned" not in found.err


@pytest.mark.parametrize("name", ["notes.txt", "README.md", "config.json"])
def test_links_out_of_a_result_are_not_followed(hub, result, push, tmp_path, name):
    """Else a result that somebody gave you could name a file of yours."""
    (tmp_path / "private").write_text('{"key": 1}')
    (result / name).unlink(missing_ok=True)
    (result / name).symlink_to(tmp_path / "private")
    path = result / "mergegraph.json"
    told = json.loads(path.read_text())
    del told["sides"]
    path.write_text(json.dumps({**told, "format": 1}))
    found = push(result, "org/name", "--anyway")
    assert found.status == 2
    assert f"{name} is a link that leads out of it" in found.err
    assert hub.repositories == {}
