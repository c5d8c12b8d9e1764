"""The section on lineage: what a model was made of, and that in turn."""

from __future__ import annotations

from collections.abc import Iterator

from mergegraph.provenance.ancestry import identity_of, named_by_card
from mergegraph.provenance.lineage import Ancestor
from mergegraph.report.figures import Table, figure
from mergegraph.report.graphs import Edge, Node, graph
from mergegraph.report.page import Section

_MOST = 200  # models that are drawn


def lineage_section(family: Ancestor) -> Section:
    """The family tree of a model."""
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str], Edge] = {}
    for child, parent, is_by_card in [(None, family, False), *_pairs(family)]:
        key = _key(parent)
        if key not in nodes and len(nodes) < _MOST:
            style = "result" if parent is family else "merge" if _inputs(parent) else ""
            nodes[key] = Node(key, _lines(parent), style)
        if child is not None:
            pair = (key, _key(child))
            edges.setdefault(pair, Edge(*pair, is_dashed=is_by_card))
    label = f"The family tree of {family.model}: {len(nodes)} models"
    rows = [[node.lines[0], ", ".join(node.lines[1:])] for node in nodes.values()]
    picture = graph(label, list(nodes.values()), list(edges.values()))
    about = "As manifests and cards tell. Dashed: only a card says so."
    table = Table("models", ["model", "told of it"], rows, texts=(0, 1))
    return Section("Family tree", "", [figure("Family tree", about, picture, tables=[table])])


def generations(family: Ancestor) -> int:
    """How many merges deep a model is."""
    return 1 + max(map(generations, family.inputs), default=0) if family.inputs else 0


def _pairs(family: Ancestor) -> Iterator[tuple[Ancestor, Ancestor, bool]]:
    """Every child with each of its parents, and whether that is said by a card alone."""
    for parent in family.inputs:
        yield family, parent, False
        yield from _pairs(parent)
    for name in named_by_card(family):
        yield family, Ancestor(name), True


def _inputs(ancestor: Ancestor) -> bool:
    return bool(ancestor.inputs)


def _key(ancestor: Ancestor) -> str:
    return identity_of(ancestor)


def _lines(ancestor: Ancestor) -> list[str]:
    told = [ancestor.model]
    if ancestor.methods:
        told.append(", ".join(ancestor.methods))
    if ancestor.hub not in (None, ancestor.model):
        told.append(f"{ancestor.hub}{f' at {ancestor.commit[:12]}' if ancestor.commit else ''}")
    if ancestor.is_cut:
        told.append("and further back")
    return told
