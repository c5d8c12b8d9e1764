"""Cards: what stands on the page of a result, by its manifest alone."""

from __future__ import annotations

import yaml

from mergegraph.provenance.card import card_text
from mergegraph.provenance.lineage import Ancestor
from mergegraph.provenance.manifest import Made, Manifest, Used

TIES = Used("mergegraph 0.1.0", "Trim and vote.", "TIES-Merging, arXiv:2306.01708")
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}


def card(inputs=(), config=None, files=(), name="org/name", **made):
    manifest = Manifest(
        key="",
        made=Made(**{"recipe": "r", "text": "merge_method: ties\n", **made}),
        packages={"mergegraph": "0.1.0"},
        methods={"ties": TIES},
        inputs=tuple(inputs),
        files={},
        tensors={},
    )
    return card_text(manifest, name, config or {}, set(files))


def front(text):
    return yaml.safe_load(text.split("---")[1])


def test_only_hub_ids_are_base_models_and_paths_are_in_the_text():
    text = card([Ancestor("org/a@main", hub="org/a"), Ancestor("models/b")])
    assert front(text)["base_model"] == ["org/a"]
    assert "- `models/b`" in text


def test_a_parent_that_is_a_merge_is_told_with_its_own():
    own = Ancestor("c", methods=("slerp",), inputs=(Ancestor("d"), Ancestor("e", hub="org/e")))
    assert "- `c`, itself a merge of `d`, `org/e` by slerp" in card([own])


def test_methods_are_told_with_idea_and_paper():
    text = card()
    assert "- **ties**: Trim and vote." in text
    assert "- TIES-Merging, [arXiv:2306.01708](https://arxiv.org/abs/2306.01708)" in text


def test_the_library_is_that_of_the_files():
    assert front(card(config=LLAMA))["library_name"] == "transformers"
    assert front(card(files=["model_index.json"]))["library_name"] == "diffusers"
    assert front(card(files=["modules.json"], config=LLAMA))["library_name"] == (
        "sentence-transformers"
    )
    assert "library_name" not in front(card())


def test_how_to_load_it_is_shown_where_transformers_can():
    text = card(config=LLAMA, files=["tokenizer.json"])
    assert "from transformers import AutoModelForCausalLM, AutoTokenizer" in text
    assert 'AutoModelForCausalLM.from_pretrained("org/name", dtype="auto")' in text
    whisper = {"architectures": ["WhisperForConditionalGeneration"]}
    assert 'WhisperForConditionalGeneration.from_pretrained("org/name"' in card(config=whisper)
    assert "## Use" not in card(config={**LLAMA, "auto_map": {}})
    assert "## Use" not in card()


def test_the_shown_code_is_python():
    text = card(config=LLAMA, files=["tokenizer.json"])
    compile(text.split("```python\n")[1].split("```")[0], "card", "exec")


def test_the_command_is_ready_for_a_shell():
    text = card(settings=("models.0.model=a b",), seed=4)
    assert "mergegraph run r.yaml --out name --seed 4 --set 'models.0.model=a b'" in text


def test_a_recipe_that_holds_a_fence_stays_in_its_own():
    text = card(text="# ```\nmerge_method: ties\n")
    assert "````yaml\n# ```\nmerge_method: ties\n````" in text


def test_licences_follow_the_parents():
    def of(*licences):
        cards = [{"license": each} if each else {} for each in licences]
        return card([Ancestor(f"m{i}", card=each) for i, each in enumerate(cards)])

    assert front(of("mit", "mit"))["license"] == "mit"
    both = of("mit", "llama3")
    assert front(both)["license"] == "other"
    assert "m0: mit; m1: llama3" in both
    assert "license" not in front(of("mit", None))
    assert "m1: none named" in of("mit", None)
    assert "Licence" not in of(None)


def test_a_licence_of_its_own_keeps_name_and_link():
    own = {"license": "other", "license_name": "gemma", "license_link": "https://x.org/y"}
    text = card([Ancestor("a", card=own), Ancestor("b", card=own)])
    assert front(text)["license_name"] == "gemma"
    assert front(text)["license_link"] == "https://x.org/y"
    assert "[gemma](https://x.org/y), as all of its parents." in text


def test_task_and_languages_follow_the_parents():
    one = {"pipeline_tag": "text-generation", "language": "en"}
    two = {"pipeline_tag": "text-generation", "language": ["no", "en"]}
    told = front(card([Ancestor("a", card=one), Ancestor("b", card=two)]))
    assert told["pipeline_tag"] == "text-generation"
    assert told["language"] == ["en", "no"], "and no is a word"
    assert "pipeline_tag" not in front(card([Ancestor("a", card=one), Ancestor("b")]))


def test_the_hub_library_reads_the_front_matter():
    from huggingface_hub import ModelCard

    data = ModelCard(card([Ancestor("org/a", hub="org/a")], config=LLAMA)).data
    assert (data.base_model, data.library_name) == (["org/a"], "transformers")
    assert data.tags == ["mergegraph", "merge", "ties"]
