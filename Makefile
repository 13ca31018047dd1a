# Two commands on a fresh machine: `make run` and `make test`. Both install once, into .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test lint bench clean help

help:            ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

run: $(STAMP)    ## send the swarm at the reference service
	$(BIN)/swarm run

test: $(STAMP)   ## run all tests: side by side, since most of them wait; then those that measure time
	$(BIN)/python -m pytest -q -n 4 --dist=worksteal -m "not alone"
	$(BIN)/python -m pytest -q -m alone

lint: $(STAMP)   ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check swarm tests
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## the benchmarks of swarm itself
	$(BIN)/python -m pytest -q tests/benchmarks

clean:           ## remove what make made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
