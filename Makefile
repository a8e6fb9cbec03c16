# Two commands need nothing but Python 3.11 or newer:
#   make demo    sets up a virtual environment and reads the example pictures
#   make test    sets up a virtual environment and runs the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOWEST := $(VENV)/lowest
TESTS := -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-lowest lint format docs docs-check clean

demo: $(VENV)/.core
	$(BIN)/digitreader read examples --annotate demo-out
	@echo "The same pictures with boxes drawn in: demo-out/"

test: $(VENV)/.dev
	$(BIN)/python $(TESTS)

# with the lowest versions of all libraries that pyproject.toml allows
test-lowest: $(LOWEST)/.dev
	$(LOWEST)/bin/python $(TESTS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev
	$(BIN)/python docs/make_docs.py

docs-check: $(VENV)/.dev
	$(BIN)/python docs/make_docs.py --check

clean:
	rm -rf $(VENV) demo-out

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "digitreader needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) has no venv module; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.core

$(LOWEST)/.dev: pyproject.toml $(BIN)/python
	$(BIN)/python -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check uv
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --editable '.[dev]'
	@touch $@
