# Everything runs in .venv, made here with nothing but python3 (3.11 or newer) and the package registry.
# Choose another interpreter with: make test PYTHON=python3.13

PYTHON ?= python3
# Tests at a time. Most of their time they wait: for a lease, for a process, for a connection to fall silent.
PROCESSES ?= 4
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench docs clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/'

demo: $(VENV)/installed ## a real run: two workers, one killed in the middle, the books balanced at the end
	$(BIN)/atomiq demo

test: lint ## lint, then every test
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal $(ARGS)

lint: $(VENV)/installed-dev ## ruff, mypy --strict and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/installed-dev ## atomiq beside its peers (under half an hour); writes docs/benchmarks.md
	$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/installed-dev ## write the generated pages anew
	$(BIN)/python scripts/docs.py

clean: ## forget the environment and all caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis bench/.envs dist build

$(VENV)/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "atomiq needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true). Try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "'$(PYTHON)' comes without venv; install it first (on Debian and Ubuntu: the package python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# What the demo needs. The development install includes it, and is never undone by it.
$(VENV)/installed: pyproject.toml $(VENV)/made
	$(BIN)/python -m pip install --quiet -e '.[embedded]'
	@touch $@

$(VENV)/installed-dev: pyproject.toml $(VENV)/made
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps 'rq-exporter>=3.1'
	@touch $@ $(VENV)/installed
