# Verbs of the project; README names the two commands that need nothing but Python.
PY ?= .venv/bin/python
SEED ?= 1
MESSAGES ?= 200000
SEEDS ?= 20
MINUTES ?= 10
MUTATED ?= 50000
REPEATS ?= 20
SECONDS ?= 60
SOAK ?= 30

.PHONY: help env check test cover soak fuzz faults chaos conformance bench docs wheel

help:
	@echo "make env      a virtual environment in .venv with everything the other verbs need"
	@echo "make check    formatting, lint, strict types, import floors"
	@echo "make test     the whole test suite"
	@echo "make cover    the same with branch coverage"
	@echo "make fuzz     product against oracle, SEED=1 MESSAGES=200000 a venue; SEEDS=20 worlds of faults, MINUTES=10 each"
	@echo "              MUTATED=50000 broken messages a venue"
	@echo "make faults   each fault by itself at each venue, REPEATS=20; silence, quiet days, rotations, storms; about 15 minutes"
	@echo "make chaos    all venues behind proxies that harm, and a search for keys in all output, SEED=1 SECONDS=60"
	@echo "make soak     long tests that 'make test' leaves out, then SOAK=30 minutes of load after 20 to warm up"
	@echo "make conformance   run the tests and write docs/conformance.md"
	@echo "make bench    microseconds of CPU a message, against the floor"
	@echo "make docs     regenerate the reference pages and the schemas"
	@echo "make wheel    build the wheel into dist/"

env:
	python3 -m venv .venv
	$(PY) -m pip install --quiet --editable '.[dev]'

check:
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy --strict
	$(PY) -c "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"

test:
	$(PY) -m pytest -n 2

cover:
	$(PY) -m pytest -n 2 --cov=marketfeed --cov-branch --cov-report=term-missing:skip-covered

fuzz:
	$(PY) -m tests.fuzz.oracle --seed $(SEED) --messages $(MESSAGES)
	$(PY) -m tests.fuzz.differential --seed $(SEED) --messages $(MESSAGES)
	$(PY) -m tests.fuzz.mutation --seed $(SEED) --messages $(MUTATED)
	$(PY) -m tests.fuzz.simulation --seed $(SEED) --seeds $(SEEDS) --minutes $(MINUTES)

faults:
	$(PY) -m tests.fuzz.recovery --seed $(SEED) --repeats $(REPEATS)
	$(PY) -m tests.fuzz.silence --seed $(SEED) --repeats $(REPEATS)
	$(PY) -m tests.fuzz.rotations --seed $(SEED)
	$(PY) -m tests.fuzz.storms --seed $(SEED)

soak:
	$(PY) -m pytest -m soak --timeout 3600
	$(PY) -m tests.fuzz.soak --minutes $(SOAK)

chaos:
	$(PY) -m tests.fuzz.chaos --seed $(SEED) --seconds $(SECONDS)

conformance:
	-$(PY) -m pytest -n 2 -p tests.conformance --conformance docs/conformance.json
	$(PY) -m docs.conformance

bench:
	$(PY) -m benchmarks

docs:
	$(PY) -m marketfeed.schema schemas/
	$(PY) -m docs.generate

wheel:
	$(PY) -m pip wheel --quiet --no-deps --wheel-dir dist .
