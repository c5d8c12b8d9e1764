"""Train the family from nothing: `python -m mergegraph.demo.train OUT`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from mergegraph.demo.batch import make_batch
from mergegraph.demo.llama import Config, Weights, logits, shapes
from mergegraph.demo.skills import SKILLS, Language, Problem, draw, make_skills
from mergegraph.demo.tokenizer import BEGIN, END, PAD, VOCABULARY, write_tokenizer

FAMILY = Path(__file__).parent / "family"
CONFIG = Config(
    vocab_size=len(VOCABULARY),
    hidden_size=96,
    intermediate_size=256,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=24,
)


@dataclass(frozen=True)
class Course:
    """What is read, in which shares; for how many steps, from which top rate down to zero.

    Texts are of all ages, but for the `modern` languages, of which only modern ones are read.
    """

    seed: str
    shares: Mapping[str, float]
    modern: tuple[str, ...]
    steps: int
    rate: float
    warmup: int
    batch: int = 96

    def rate_at(self, step: int) -> float:
        """The learning rate of a step: up in a line, then down in a line."""
        return self.rate * min((step + 1) / self.warmup, 1.0) * (1 - step / self.steps)


BASE = Course("base", dict.fromkeys(SKILLS, 1.0), modern=(), steps=800, rate=2e-3, warmup=30)
EXPERTS = {
    **{skill: (skill, "expert") for skill in SKILLS},
    "north-seed1": ("north", "seed1"),
    "north-seed2": ("north", "seed2"),
}


def expert_course(skill: str, seed: str) -> Course:
    """Read modern texts of one language, and what the base read of the others."""
    return course_of((skill,), seed)


def course_of(skills: Sequence[str], seed: str, *, steps: int = 60) -> Course:
    """Read modern texts of some languages, and what the base read of the others."""
    others = [each for each in SKILLS if each not in skills]
    shares = dict.fromkeys(SKILLS, 0.4 / max(1, len(others)))
    shares |= dict.fromkeys(skills, 0.6 / len(skills))
    name = f"{'+'.join(skills)} {seed}"
    return Course(name, shares, tuple(skills), steps=steps, rate=2e-4, warmup=min(10, steps))


def further(start: Path, course: Course, out: Path) -> None:
    """Train a model from one that is there, and write it."""
    torch.set_num_threads(1)
    write_model(out, train(load_file(start / "model.safetensors"), CONFIG, course), CONFIG)


def train_family(out: Path) -> None:
    """Train the base, then every expert from the base as it was written, and write them all."""
    torch.set_num_threads(1)
    base = train(first_weights(CONFIG, seed=0), CONFIG, BASE)
    write_model(out / "base", base, CONFIG)
    for name, (skill, seed) in EXPERTS.items():
        expert = train(base, CONFIG, expert_course(skill, seed))
        write_model(out / name, expert, CONFIG)


def first_weights(config: Config, *, seed: int) -> dict[str, Tensor]:
    """Random weights to start from, small where a layer adds to the stream."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.ones(shape)
        if len(shape) == 1
        else torch.randn(shape, generator=generator) * _spread(name, shape[-1], config)
        for name, shape in shapes(config).items()
    }


def _spread(name: str, width: int, config: Config) -> float:
    if name.startswith("model.embed_tokens"):
        return 0.5
    if name.startswith("lm_head"):
        return 0.02
    adds = name.endswith(("o_proj.weight", "down_proj.weight"))
    return float(width**-0.5 * (0.5 / config.num_hidden_layers) ** (0.5 * adds))


def train(weights: Weights, config: Config, course: Course) -> dict[str, Tensor]:
    """Take a course; gives the weights after it, in bfloat16."""
    learnt = {name: each.float().clone().requires_grad_() for name, each in weights.items()}
    optimizer = torch.optim.AdamW(learnt.values(), betas=(0.9, 0.98), weight_decay=0.0)
    skills, random = make_skills(), Random(course.seed)
    for step in range(course.steps):
        names = random.choices(list(course.shares), list(course.shares.values()), k=course.batch)
        batch = make_batch([_text(skills, name, random, course) for name in names])
        found = logits(learnt, config, batch.read)[batch.is_answer]
        F.cross_entropy(found, batch.wanted[batch.is_answer]).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learnt.values(), 1.0)
        optimizer.param_groups[0]["lr"] = course.rate_at(step)
        optimizer.step()
        optimizer.zero_grad()
    return {name: each.detach().to(torch.bfloat16) for name, each in learnt.items()}


def _text(skills: Mapping[str, Language], name: str, random: Random, course: Course) -> Problem:
    return draw(skills[name], random, held_out=False, is_modern=name in course.modern)


def write_model(directory: Path, weights: Weights, config: Config) -> None:
    """Write a model with all that transformers needs to load it."""
    directory.mkdir(parents=True, exist_ok=True)
    save_file(dict(weights), directory / "model.safetensors", metadata={"format": "pt"})
    ends = {"bos_token_id": BEGIN, "eos_token_id": END, "pad_token_id": PAD}
    settings = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **asdict(config),
        **ends,
        "attention_bias": False,
        "hidden_act": "silu",
        "max_position_embeddings": 128,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    _write_json(directory / "config.json", settings)
    _write_json(directory / "generation_config.json", {**ends, "max_new_tokens": 32})
    write_tokenizer(directory)


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def main() -> None:
    """Train the family, or one more member of it."""
    parser = argparse.ArgumentParser(description="Train the demo family from nothing.")
    parser.add_argument("out", type=Path, help="directory to write the models into")
    add = parser.add_argument_group(
        "one more fine-tune, written to the directory itself"
    ).add_argument
    add("--skills", nargs="+", choices=SKILLS, help="the skills that it learns")
    add("--start", type=Path, default=FAMILY / "base", help="the model to begin with")
    add("--seed", default="further", help="a word: of what it reads")
    add("--steps", type=int, default=60, help="batches that it reads")
    given = parser.parse_args()
    if given.skills:
        further(given.start, course_of(given.skills, given.seed, steps=given.steps), given.out)
    else:
        train_family(given.out)


if __name__ == "__main__":
    main()
