"""Ancestry: what models were made of, followed through their manifests and cards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mergegraph.errors import MergeGraphError, printable
from mergegraph.files.checkpoint import Checkpoint
from mergegraph.files.jsonfiles import json_text
from mergegraph.files.references import is_hub_id
from mergegraph.files.trees import LocalTree, Tree, read_document
from mergegraph.provenance.fingerprint import fingerprint
from mergegraph.provenance.frontmatter import CARD, parse_card, words
from mergegraph.provenance.lineage import DEEPEST, Ancestor, InputFile, facts_of
from mergegraph.provenance.manifest import MANIFEST, Manifest, parse_manifest, read_manifest

MOST = 1000  # models that a manifest tells of
_SNAPSHOTS = "snapshots"
_OF_MODELS = "models--"


def ancestor_of(checkpoint: Checkpoint) -> Ancestor:
    """What a checkpoint is, and what it was made of as far as its manifest and card tell."""
    files = tuple(
        InputFile(name, header.nbytes, fingerprint(checkpoint.tree, name, header))
        for name, header in checkpoint.headers.items()
    )
    hub, commit = _on_hub(checkpoint)
    at = None if checkpoint.tree.is_local else checkpoint.tree.label
    known = Ancestor(checkpoint.reference, files, hub, commit, at)
    return _followed(known, checkpoint.tree)


def family_of(folder: Path) -> Ancestor:
    """The family tree of a directory, by its manifest, or else by its card.

    Raises MergeGraphError if it has neither, or its manifest is damaged.
    """
    read_manifest(folder)
    found = _followed(Ancestor(folder.resolve().name), LocalTree(folder, str(folder)))
    if found.weights is None and not found.card.get("base_model"):
        raise MergeGraphError(f"{folder}: holds no {MANIFEST}, and no {CARD} that names base_model")
    return found


def _followed(ancestor: Ancestor, tree: Tree) -> Ancestor:
    """What the files of a model tell of it and of those it was made of."""
    manifest = _manifest(ancestor, tree)
    card = facts_of(parse_card(_text(tree, CARD))[0])
    if manifest is None:
        return replace(ancestor, card=card)
    inputs = tuple(_shortened(each, 1) for each in manifest.inputs)
    is_cut = 1 + sum(each.count for each in inputs) > MOST
    return replace(
        ancestor,
        weights=manifest.weights,
        methods=tuple(manifest.methods),
        card=card,
        inputs=() if is_cut else inputs,
        is_cut=is_cut,
    )


def _manifest(ancestor: Ancestor, tree: Tree) -> Manifest | None:
    """The manifest of a model, if it is of these files."""
    try:
        manifest = parse_manifest(_text(tree, MANIFEST).encode(), MANIFEST)
    except MergeGraphError:
        return None
    stored = {each.name: each.nbytes for each in ancestor.files}
    return manifest if manifest and (not stored or stored == dict(manifest.files)) else None


def _text(tree: Tree, name: str) -> str:
    """The text of a file; empty if there is none that can be read."""
    try:
        return read_document(tree, name).decode() if name in tree.names() else ""
    except (MergeGraphError, UnicodeDecodeError):
        return ""


def _shortened(ancestor: Ancestor, deep: int) -> Ancestor:
    """An ancestor without its files, and without those that stand too far back."""
    is_cut = ancestor.is_cut or (deep >= DEEPEST - 1 and bool(ancestor.inputs))
    inputs = () if is_cut else tuple(_shortened(each, deep + 1) for each in ancestor.inputs)
    return replace(ancestor, files=(), inputs=inputs, is_cut=is_cut)


def _on_hub(checkpoint: Checkpoint) -> tuple[str | None, str | None]:
    """The id and the commit of a model on the Hub, or of one that the Hub's cache holds."""
    name, _, commit = checkpoint.tree.label.removeprefix("hf:").partition("@")
    if not checkpoint.tree.is_local:
        return (name, commit.partition("/")[0] or None) if is_hub_id(name) else (None, None)
    root = checkpoint.tree.root.absolute()
    above = root.parent
    if above.name == _SNAPSHOTS and above.parent.name.startswith(_OF_MODELS):
        name = above.parent.name.removeprefix(_OF_MODELS).replace("--", "/")
        return name, root.name
    return None, None


# -- drawn -----------------------------------------------------------------------------------


def family_text(family: Ancestor) -> str:
    """The family tree in lines, what a model was made of below it."""
    return "\n".join([_told(family), *_branches(family, "")])


def family_json(family: Ancestor) -> str:
    """The family tree as JSON."""
    return json_text(family.data(), indent=1)


def family_mermaid(family: Ancestor) -> str:
    """The family tree as a Mermaid graph, parents above; one that comes twice is one node."""
    numbers: dict[str, int] = {}
    lines = ["graph TD"]

    def node(key: str, label: str) -> str:
        if key not in numbers:
            numbers[key] = len(numbers)
            lines.append(f'  n{numbers[key]}["{label.replace(chr(34), "#quot;")}"]')
        return f"n{numbers[key]}"

    def draw(each: Ancestor) -> str:
        own = node(identity_of(each), _told(each))
        parents = [(draw(parent), "-->") for parent in each.inputs]
        parents += [(node(name, name), "-.->") for name in named_by_card(each)]
        for parent, arrow in parents:
            edge = f"  {parent} {arrow} {own}"
            if edge not in lines:
                lines.append(edge)
        return own

    draw(family)
    return "\n".join(lines)


def _branches(ancestor: Ancestor, indent: str) -> Iterator[str]:
    told = [(_told(each), each) for each in ancestor.inputs]
    rest = [(f"{name} (says its card)", None) for name in named_by_card(ancestor)]
    rest += [("... and further back", None)] if ancestor.is_cut else []
    lines: list[tuple[str, Ancestor | None]] = [*told, *rest]
    for number, (line, each) in enumerate(lines, 1):
        is_last = number == len(lines)
        yield f"{indent}{'└─ ' if is_last else '├─ '}{line}"
        if each is not None:
            yield from _branches(each, f"{indent}{'   ' if is_last else '│  '}")


def _told(ancestor: Ancestor) -> str:
    """A model in a few words: its name, where it is from, and by which methods it was made."""
    commit = f" at {ancestor.commit[:12]}" if ancestor.commit else ""
    hub = f" ({ancestor.hub}{commit})" if ancestor.hub not in (None, ancestor.model) else commit
    methods = f": {', '.join(ancestor.methods)}" if ancestor.methods else ""
    return printable(f"{ancestor.model}{hub}{methods}")


def named_by_card(ancestor: Ancestor) -> tuple[str, ...]:
    """What the card of a model without manifest names as its base."""
    named = () if ancestor.weights else words(ancestor.card.get("base_model"))
    return tuple(printable(each) for each in named)


def identity_of(ancestor: Ancestor) -> str:
    """What tells whether two models are one: their weights if known, or else their names."""
    return ancestor.weights or f"{ancestor.hub or ancestor.model}@{ancestor.commit or ''}"
