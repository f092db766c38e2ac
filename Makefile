# Verbs of the project; README names the two commands that need nothing but Python.
PY ?= .venv/bin/python
SEED ?= 1
MESSAGES ?= 200000

.PHONY: help env check test cover soak fuzz bench docs wheel

help:
	@echo "make env      a virtual environment in .venv with everything the other verbs need"
	@echo "make check    formatting, lint, strict types, import floors"
	@echo "make test     the whole test suite"
	@echo "make cover    the same with branch coverage"
	@echo "make fuzz     product against oracle, SEED=1 MESSAGES=200000 a venue"
	@echo "make soak     long tests that 'make test' leaves out"
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

soak:
	$(PY) -m pytest -m soak --timeout 3600

bench:
	$(PY) -m benchmarks

docs:
	$(PY) -m marketfeed.schema schemas/
	$(PY) -m docs.generate

wheel:
	$(PY) -m pip wheel --quiet --no-deps --wheel-dir dist .
