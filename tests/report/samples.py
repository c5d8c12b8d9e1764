"""Records of searches as they are written, made up."""

from __future__ import annotations

import json

ACCURACY = {"name": "accuracy", "is_lower_better": False}
PERPLEXITY = {"name": "perplexity", "is_lower_better": True}


def evolved(count=24, objectives=(ACCURACY,), **changed):
    """A search of two numbers and a choice that comes near (0.8, 0.5)."""
    trials = []
    for number in range(count):
        apart = 0.6 / (1 + number % 7 + number / 6)
        genes = {"weight": 0.8 - apart, "density": 0.5 + apart / 2, "rule": "ab"[number % 2]}
        scores = {"accuracy": 0.8 - apart, "perplexity": 9 + 4 * apart + number % 3}
        trials.append(
            {
                "number": number,
                "generation": number // 8,
                "genes": genes,
                "scores": None if number == 3 else scores,
                "problem": "demo: not finite" if number == 3 else None,
                "repeats": 2 if number == 9 else None,
                "seconds": 0.5,
            }
        )
    scored = [each for each in trials if each["scores"]]
    best = max(scored, key=lambda each: each["scores"]["accuracy"])["number"]
    return {
        "kind": "evolve",
        "format": 1,
        "recipe": "search.yaml",
        "sampler": "cmaes",
        "seed": 0,
        "chosen_by": "demo:validation",
        "reported_by": "demo:test",
        "objectives": list(objectives),
        "genes": [
            {"name": "weight", "form": "range", "low": 0.0, "high": 1.0},
            {"name": "density", "form": "range", "low": 0.1, "high": 0.9},
            {"name": "rule", "form": "choice", "choices": ["a", "b"]},
        ],
        "trials": trials,
        "best": [best],
        "reported": {str(best): {"accuracy": 0.7}},
        "parents": {"demo:north": {"accuracy": 0.4, "perplexity": 15.0}},
        "reported_parents": {"demo:north": {"accuracy": 0.41}},
        **changed,
    }


def bred(deep=4, **changed):
    """Three models and two more in each generation, of which each comes of the last two."""
    members = [_member(name, 0, (), 0.4 + i / 20) for i, name in enumerate("abc")]
    generations = [_generation(0, members, members)]
    for number in range(1, deep):
        parents = [each["name"] for each in members[-2:]]
        new = [
            _member(f"g{number}-{i}", number, parents, 0.5 + number / 12 + i / 50, explores=i == 1)
            for i in range(2)
        ]
        members += new
        generations.append(_generation(number, new, members[-3:]))
    names = [each["name"] for each in members]
    matrix = [
        [1.0 if i == j else 0.3 + 0.02 * min(i, j) for j in range(len(names))]
        for i in range(len(names))
    ]
    return {
        "kind": "breed",
        "format": 1,
        "strategy": "topk",
        "base": "demo:base",
        "method": "slerp",
        "early_stop": 0.9,
        "chosen_by": "demo:validation",
        "reported_by": "demo:test",
        "objectives": [ACCURACY],
        "members": members,
        "generations": generations,
        "kinship": {"metric": "pcc", "names": names, "matrix": matrix},
        "best": names[-1],
        "reported": {names[-1]: {"accuracy": 0.66}},
        **changed,
    }


def written(folder, record):
    """The folder of a search with its record."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "search.json").write_text(json.dumps(record))
    return folder


def _member(name, generation, parents, score, *, explores=False):
    is_first = not parents
    return {
        "name": name,
        "generation": generation,
        "parents": list(parents),
        "explores": explores,
        "recipe": None if is_first else f"{name}.yaml",
        "scores": {"accuracy": score},
        "gain": None if is_first else 0.02,
        "kinship": None if is_first else 0.5,
    }


def _generation(number, new, top):
    names = [each["name"] for each in top]
    return {
        "number": number,
        "new": [each["name"] for each in new],
        "top": names,
        "kinship": 0.2 + number / 5,
        "stopped": None,
    }
