"""The pieces of a YAML text: where each begins and ends, so that one can be put in its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mergegraph.recipe.source import Path, aliases_of, data_of, nodes_of, read_documents

_NAME = re.compile(r"\s")
_ANCHOR = re.compile(r"&[^\s,\[\]{}]+(?:\s+#[^\n]*)*\s*")


@dataclass(frozen=True, eq=False)
class Piece:
    """A value, or a key, where it stands in the text: `text[start:end]`, without its anchor.

    A value that aliases name in several places is one piece, where the anchor is.
    """

    path: Path
    data: Any
    start: int
    end: int
    column: int
    place: str
    is_block: bool
    pairs: tuple[tuple[Piece, Piece], ...] = ()
    items: tuple[Piece, ...] = ()
    anchor: str = ""  # its name, which is empty without one

    def of(self, word: str) -> Piece | None:
        """The value of a key."""
        return next((value for key, value in self.pairs if key.data == word), None)

    def key_of(self, word: str) -> Piece | None:
        """A key itself."""
        return next((key for key, _ in self.pairs if key.data == word), None)


def pieces_of(file: str, text: str) -> list[Piece]:
    """The documents of a YAML text, piece by piece; raises MergeGraphError if it is none."""
    read_documents(file, text)  # which looks at sizes, tags and letters
    aliases = [(each.start, each.end) for each in aliases_of(file, text)]
    return [_Cutter(file, text, aliases).piece(node, ()) for node in nodes_of(file, text)]


def behind_anchor(text: str, start: int) -> int:
    """Where something begins, behind its anchor if it has one."""
    anchor = _ANCHOR.match(text, start)
    return anchor.end() if anchor else start


class _Cutter:
    """Makes pieces of one document's nodes, of each node one."""

    def __init__(self, file: str, text: str, aliases: Sequence[tuple[int, int]]) -> None:
        self.file, self.text, self.aliases = file, text, aliases
        self.made: dict[int, Piece] = {}

    def piece(self, node: Any, path: Path) -> Piece:
        if id(node) not in self.made:
            self.made[id(node)] = self.cut(node, path)
        return self.made[id(node)]

    def cut(self, node: Any, path: Path) -> Piece:
        pairs: list[tuple[Piece, Piece]] = []
        items: list[Piece] = []
        if node.id == "mapping":
            for key, value in node.value:
                word = self.piece(key, (*path, "?"))
                pairs.append((word, self.piece(value, (*path, str(word.data)))))
        elif node.id == "sequence":
            items += [self.piece(each, (*path, i)) for i, each in enumerate(node.value)]
        mark = node.start_mark
        start = behind_anchor(self.text, mark.index)
        return Piece(
            path=path,
            data=data_of(self.file, node),
            start=start,
            end=self.end(node, [*(value for _, value in pairs), *items], pairs),
            column=start - self.text.rfind("\n", 0, start) - 1,
            place=f"{self.file}:{mark.line + 1}:{mark.column + 1}",
            is_block=node.id != "scalar" and not node.flow_style,
            pairs=tuple(pairs),
            items=tuple(items),
            anchor=_NAME.split(self.text[mark.index : start].lstrip("&"))[0],
        )

    def end(self, node: Any, parts: Sequence[Piece], pairs: Sequence[tuple[Piece, Piece]]) -> int:
        """Where a node ends; one without brackets ends with its last part, not where YAML looks."""
        end: int = node.end_mark.index
        if node.id == "scalar" or node.flow_style or not parts:
            return end
        last = parts[-1]
        first: int = node.start_mark.index
        before = pairs[-1][0].end if pairs else max([first, *(p.end for p in parts[:-1])])
        if before <= last.start and last.end <= end:
            return last.end
        # it is an alias, and stands elsewhere
        return max((to for at, to in self.aliases if before <= at < end), default=end)
