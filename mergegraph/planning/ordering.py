"""The order of stages: each after those it stands on."""

from __future__ import annotations

from collections.abc import Sequence

import networkx as nx

from mergegraph.recipe import Stage


def in_order(stages: Sequence[Stage]) -> list[Stage]:
    """Stages after those they stand on; those in a circle are left out, they are reported."""
    named = {stage.name: stage for stage in stages if stage.name is not None}
    graph: nx.DiGraph[int] = nx.DiGraph()
    place = {id(stage): i for i, stage in enumerate(stages)}
    graph.add_nodes_from(range(len(stages)))
    for stage in stages:
        for name in stage.stands_on(named):
            graph.add_edge(place[id(named[name])], place[id(stage)])
    circular = {
        i for part in nx.strongly_connected_components(graph) if len(part) > 1 for i in part
    }
    circular |= set(nx.nodes_with_selfloops(graph))
    graph.remove_nodes_from(list(circular))
    return [stages[i] for i in nx.lexicographical_topological_sort(graph)]
