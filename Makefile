PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH := --benchmark-enable --benchmark-only --benchmark-max-time=0.5

.PHONY: setup demo methods test browser lint bench bench-full bench-keep evidence reliability clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt plugins/mergegraph-example/pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]' --editable plugins/mergegraph-example
	touch $@

demo: setup
	$(BIN)/mergegraph run recipes/*.yaml --out merged
	$(BIN)/python -m mergegraph.demo merged/*

methods: setup
	rm -f docs/methods/*.md
	$(BIN)/python -m mergegraph.guide.pages docs/methods

test: setup
	$(BIN)/python -m pytest -n auto --ignore=tests/browser

browser: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[browser]' || echo "Qt WebEngine cannot be had: without Chromium the tests skip"
	$(BIN)/python -m pytest tests/browser

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python -m pytest tests/bench $(BENCH)
	$(BIN)/python -m benchmarks

bench-full: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[plots]'
	$(BIN)/python -m benchmarks --size full --write docs

bench-keep: setup
	$(BIN)/python -m pytest tests/bench $(BENCH) --bench-keep

evidence: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[plots,evolve]'
	$(BIN)/python -m evidence --write docs
	$(BIN)/python -m evidence.generations --write docs

reliability: setup
	$(BIN)/python -m reliability kills --minutes 20
	$(BIN)/python -m reliability rivals --minutes 5
	$(BIN)/python -m reliability combinations --minutes 10
	$(BIN)/python -m reliability faults --write docs

clean:
	rm -rf $(VENV) .venv-mergekit merged build dist
