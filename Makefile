# Two commands on a fresh machine: `make run` and `make test`. Both install once, into .venv.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test together alone lint bench clean help

help:            ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt -e '.[dev]'
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true  # as pip would, but on all cores
	@touch $@

run: $(STAMP)    ## send the swarm at the reference service
	$(BIN)/swarm run

test: $(STAMP)   ## run all tests: side by side, since most of them wait; then those that measure time
	$(MAKE) --no-print-directory together
	$(MAKE) --no-print-directory alone

# Many tests start programs: compiled once, these need not compile swarm each for itself, as they would where the
# shell keeps Python from writing bytecode.
together: $(STAMP)
	$(BIN)/python -m compileall -q swarm service
	$(BIN)/python -m pytest -q -n 4 -m "not alone"

alone: $(STAMP)
	$(BIN)/python -m pytest -q -m alone $$(grep -rlE --include='test_*.py' 'pytest\.mark\.alone' tests service/tests)

lint: $(STAMP)   ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check swarm tests
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)  ## the benchmarks of swarm itself
	$(BIN)/python -m pytest -q tests/benchmarks

clean:           ## remove what make made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
