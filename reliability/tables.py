"""What the parts of the campaign came to, as a sentence and the lines of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reliability.combinations import Tally
from reliability.kills import Score
from reliability.rivals import Outcome

Told = tuple[str, tuple[str, ...], tuple[tuple[str, ...], ...]]


def of_kills(scores: Mapping[str, Score]) -> Told:
    """What kills came to."""
    every = list(scores.values())
    results, kills = sum(each.results for each in every), sum(each.kills for each in every)
    damaged = sum(each.damaged for each in every)
    sentence = (
        f"{results} results were made through {kills} kills, and {damaged} journals were damaged "
        "between two runs. Every result was the same bytes as one that nobody killed, and nothing "
        "looked whole before it was."
    )
    heads = (
        *("scene", "results", "kills", "journals damaged", "MiB written", "again by a kill"),
        *("at most", "MiB read", "again by a kill", "at most"),
    )
    return sentence, heads, tuple(_line(name, each) for name, each in scores.items())


def _line(name: str, score: Score) -> tuple[str, ...]:
    written, read = score.written_again, score.read_again
    return (
        name,
        f"{score.results}",
        f"{score.kills}",
        f"{score.damaged}",
        f"{score.written:.0f}",
        f"{score.middle(written):.1f}",
        f"{max(written, default=0):.1f}",
        f"{score.read:.0f}",
        f"{score.middle(read):.1f}",
        f"{max(read, default=0):.1f}",
    )


def of_rivals(outcome: Outcome) -> Told:
    """What rivals came to."""
    refused = sum(outcome.words.values())
    sentence = (
        f"{outcome.rounds} times two runs were set on one output, by one path or by two, and "
        f"{outcome.kills} of them were killed. {refused} refused with a sentence; "
        f"{outcome.both_done} times both ended well, one after the other. Every result was whole, "
        "and of the right bytes."
    )
    lines = tuple((words, f"{count}") for words, count in outcome.words.most_common())
    return sentence, ("what a run said that refused", "times"), lines


def of_combinations(tally: Tally) -> Told:
    """What combinations came to."""
    sentence = (
        f"{tally.cases} cases were done plainly and in {tally.ways} other ways, "
        f"{tally.kills} of their runs killed: {tally.tensors} tensors and all files beside them "
        f"were compared, and were the same. {tally.refused} more cases were refused, "
        f"{tally.words['while planning']} of them in planning, which left nothing behind."
    )
    kinds = tuple((name, f"{count}") for name, count in sorted(tally.methods.items()))
    return sentence, ("method", "merges in these cases"), kinds


def of_faults(counts: Mapping[str, int]) -> Told:
    """What faults came to."""
    sentence = (
        f"{sum(counts.values())} faults were tried. After each there was a sentence and nothing "
        "that looked whole, or the right bytes all the same; a plain run then ended in these."
    )
    lines = tuple((kind, f"{count}") for kind, count in sorted(counts.items()))
    return sentence, ("kind of fault", "tried"), lines


def of_fuzzing(lines: Sequence[tuple[str, ...]]) -> Told:
    """What bad input came to."""
    total = sum(int(each[2]) for each in lines)
    sentence = f"{total} files were read by {len(lines)} readers, and none of them gave way."
    heads = ("reader", "of", "files read", "edges of code covered")
    return sentence, heads, tuple(lines)
