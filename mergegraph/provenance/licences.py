"""Licences: what the cards of parents say that holds for what was made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergegraph.provenance.frontmatter import words
from mergegraph.provenance.lineage import Ancestor

_OTHER = "other"


@dataclass(frozen=True)
class Inherited:
    """What a card takes over from the parents' cards, and what is to be said of it."""

    facts: Mapping[str, Any]
    sentence: str
    warning: str | None = None


def inherited(parents: Sequence[Ancestor]) -> Inherited:
    """The licence, the kind of task and the languages that follow from the parents' cards."""
    facts = {"pipeline_tag": _agreed(parents, "pipeline_tag"), "language": _languages(parents)}
    licences = {each.model: _licence(each) for each in parents}
    unknown = [name for name, licence in licences.items() if licence is None]
    known = dict.fromkeys(licence for licence in licences.values() if licence is not None)
    listed = "; ".join(f"{name}: {_shown(each)}" for name, each in licences.items())
    if len(known) > 1:
        several = {"license": _OTHER, "license_name": "several", "license_link": "#licence"}
        warning = f"the licences of the parents differ ({listed}); see that all of them are kept"
        sentence = f"The licences of the parents differ, and all of them hold: {listed}."
        return Inherited(several | facts, sentence, warning)
    if unknown and not known:
        return Inherited(
            facts, "", "the cards of the parents name no licence, so the card has none"
        )
    if unknown:
        warning = f"the cards of {', '.join(unknown)} name no licence, so the card names none"
        return Inherited(facts, f"Not every parent names a licence: {listed}.", warning)
    if not known:
        return Inherited(facts, "")
    (only,) = known
    licence = dict(zip(("license", "license_name", "license_link"), only, strict=True))
    return Inherited(licence | facts, f"{_shown(only)}, as all of its parents.")


_Licence = tuple[str, str, str]


def _licence(ancestor: Ancestor) -> _Licence | None:
    """The licence that a card names, with name and link where it is none of the usual ones."""
    found = words(ancestor.card.get("license"))
    if not found:
        return None
    name, link = (
        ", ".join(words(ancestor.card.get(key))) for key in ("license_name", "license_link")
    )
    return ", ".join(found), name, link


def _shown(licence: _Licence | None) -> str:
    if licence is None:
        return "none named"
    name, called, link = licence
    text = called if name == _OTHER and called else name
    return f"[{text}]({link})" if link.startswith("https://") else text


def _agreed(parents: Sequence[Ancestor], key: str) -> str:
    """What all parents say; empty if one says something else, or nothing."""
    told = {tuple(words(each.card.get(key))) for each in parents}
    (first, *others) = told or {()}
    return first[0] if first and not others else ""


def _languages(parents: Sequence[Ancestor]) -> list[str]:
    return list(dict.fromkeys(w for each in parents for w in words(each.card.get("language"))))
