"""The model card of a result: what it is made of, how, and how to use it or make it again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Iterator
from typing import Any

from mergegraph.config import Config
from mergegraph.errors import printable
from mergegraph.provenance.frontmatter import front_matter
from mergegraph.provenance.licences import inherited
from mergegraph.provenance.lineage import Ancestor
from mergegraph.provenance.manifest import Manifest

_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
_LIBRARIES = {  # by the file that tells of it
    "model_index.json": "diffusers",
    "modules.json": "sentence-transformers",
    "adapter_config.json": "peft",
}
_HEADS = {  # by how the names of architectures end
    "ForCausalLM": "AutoModelForCausalLM",
    "ForMaskedLM": "AutoModelForMaskedLM",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
    "ForTokenClassification": "AutoModelForTokenClassification",
    "ForImageClassification": "AutoModelForImageClassification",
}


def card_text(manifest: Manifest, name: str, config: Config, files: Collection[str]) -> str:
    """A whole card; `name` is what the model is called, `files` what stands beside its weights."""
    before = [
        front_matter(card_facts(manifest, config, files)),
        f"# {name.rpartition('/')[2]}\n",
        *_made_of(manifest),
        *_usage(name, config, files),
    ]
    after = [*_again(manifest, name), *_licence(manifest), *_papers(manifest)]
    return "\n".join([*map(_readable, before), *_recipe(manifest), *map(_readable, after)])


def card_facts(manifest: Manifest, config: Config, files: Collection[str]) -> dict[str, Any]:
    """The front matter: parents on the Hub, relation, library, tags, what parents' cards say."""
    bases = dict.fromkeys(name for each in manifest.inputs for name in each.on_hub)
    taken = dict(inherited(manifest.inputs).facts)
    return {
        **{key: taken.pop(key, None) for key in ("license", "license_name", "license_link")},
        "language": taken.get("language"),
        "library_name": _library(config, files),
        "pipeline_tag": taken.get("pipeline_tag"),
        "base_model": list(bases),
        "base_model_relation": "merge",
        "tags": ["mergegraph", "merge", *manifest.methods],
    }


def default_name(manifest: Manifest) -> str:
    """What a result is called that has no other name: as its stage, or its recipe."""
    return manifest.made.stage or manifest.made.recipe


def _library(config: Config, files: Collection[str]) -> str | None:
    for file, library in _LIBRARIES.items():
        if file in files:
            return library
    return "transformers" if config.get("architectures") or config.get("model_type") else None


def _readable(text: str) -> str:
    """Lines without characters that would steer a terminal, whatever files had in their names."""
    return "\n".join(map(printable, text.split("\n")))


# -- the text --------------------------------------------------------------------------------


def _made_of(manifest: Manifest) -> Iterator[str]:
    yield "A merge of\n"
    yield from (f"- {_parent(each)}" for each in manifest.inputs)
    yield "\nmade with mergegraph by\n"
    for name, used in manifest.methods.items():
        yield f"- **{name}**{f': {used.idea}' if used.idea else ''}"
    yield ""


def _parent(ancestor: Ancestor) -> str:
    """A parent with where it is on the Hub, or by what it was made itself."""
    if ancestor.hub is not None:
        commit = f" at `{ancestor.commit[:12]}`" if ancestor.commit else ""
        return f"[{ancestor.hub}](https://huggingface.co/{ancestor.hub}){commit}"
    if ancestor.inputs:
        parents = ", ".join(f"`{each.hub or each.model}`" for each in ancestor.inputs)
        return f"`{ancestor.model}`, itself a merge of {parents} by {', '.join(ancestor.methods)}"
    return f"`{ancestor.model}`"


def _usage(name: str, config: Config, files: Collection[str]) -> Iterator[str]:
    """How to load it, where transformers has its architecture."""
    named = config.get("architectures")
    if not isinstance(named, list) or not named or "auto_map" in config:
        return
    if _library(config, files) != "transformers" or not str(named[0]).isidentifier():
        return
    head = next((auto for end, auto in _HEADS.items() if named[0].endswith(end)), named[0])
    has_tokenizer = "tokenizer_config.json" in files or "tokenizer.json" in files
    imported = ", ".join(sorted({head, "AutoTokenizer"} if has_tokenizer else {head}))
    yield f"## Use\n\n```python\nfrom transformers import {imported}\n"
    if has_tokenizer:
        yield f"tokenizer = AutoTokenizer.from_pretrained({json.dumps(name)})"
    yield f'model = {head}.from_pretrained({json.dumps(name)}, dtype="auto")\n```\n'


def _recipe(manifest: Manifest) -> Iterator[str]:
    text = manifest.made.text.rstrip()
    fence = "`" * max(3, *(len(found) + 1 for found in re.findall(r"`+", text)), 3)
    yield f"## Recipe\n\n{fence}yaml\n{text}\n{fence}\n"


def _again(manifest: Manifest, name: str) -> Iterator[str]:
    made = manifest.made
    seed = [] if made.seed is None else ["--seed", str(made.seed)]
    settings = [word for each in made.settings for word in ("--set", each)]
    recipe = f"{made.recipe}.yaml"
    folder = name.rpartition("/")[2]
    command = shlex.join(["mergegraph", made.command, recipe, "--out", folder, *seed, *settings])
    stage = f" The result is its stage `{made.stage}`." if made.stage else ""
    versions = ", ".join(f"{package} {found}" for package, found in manifest.packages.items())
    packages = ", ".join(dict.fromkeys(each.package for each in manifest.methods.values()))
    yield "## Make it again\n"
    yield f"Save the recipe as `{recipe}`.{stage}\n"
    yield f"```sh\n{command}\n```\n"
    yield (
        "The same inputs give the same bytes. `mergegraph.json` holds the SHA-256 of every tensor "
        f"and file: with this directory at hand, `mergegraph verify {folder}` checks them, and "
        f"`mergegraph reproduce {folder}` makes the model again and compares. "
        f"Made with {versions}; methods of {packages}.\n"
    )


def _licence(manifest: Manifest) -> Iterator[str]:
    if sentence := inherited(manifest.inputs).sentence:
        yield f"## Licence\n\n{sentence}\n"


def _papers(manifest: Manifest) -> Iterator[str]:
    papers = dict.fromkeys(each.paper for each in manifest.methods.values() if each.paper)
    if papers:
        yield "## Papers\n"
        yield from (f"- {_ARXIV.sub(_linked, paper)}" for paper in papers)
        yield ""


def _linked(found: re.Match[str]) -> str:
    return f"[{found[0]}](https://arxiv.org/abs/{found[1]})"
