# Everything starts here: `make demo` and `make test` need only Python 3.11+ with venv, and make.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Where torch comes from: `make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu`; else pip's own configuration.
TORCH_FROM := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),)
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist worksteal

.PHONY: demo setup format check test test-all bench docs facts clean

demo: $(VENV)/.base
	@NEXUS_MIRROR=$${NEXUS_MIRROR:-1} $(BIN)/nexus demo --out demo

setup: $(VENV)/.dev

$(VENV)/.torch: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "nexus needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing. On Debian or Ubuntu: apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python || { echo "make: creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "make: installing torch"
	@$(PIP) install $(TORCH_FROM) -r constraints.txt
	@touch $@

$(VENV)/.base: $(VENV)/.torch pyproject.toml
	@echo "make: installing nexus"
	@$(PIP) install -c constraints.txt -e '.[mirror]'
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@echo "make: installing the tools for tests"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

format: $(VENV)/.dev
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

check: $(VENV)/.dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

test: $(VENV)/.dev
	@$(PYTEST) -m "not slow"

test-all: $(VENV)/.dev
	@$(PIP) install -c constraints.txt -e '.[deepspeed]'
	@$(PYTEST)
	@NEXUS_START_METHOD=spawn $(PYTEST) -m "not slow" tests/commands tests/transforms tests/hub tests/retrieval

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks

docs: $(VENV)/.dev
	@$(PIP) install -c constraints.txt -e '.[docs]'
	@$(BIN)/mkdocs build --strict

# Parameters and operations of the models, for `nexus models`: `make facts MODELS='swin*'` counts only those.
facts: $(VENV)/.dev
	@$(BIN)/python tools/count_models.py $(if $(MODELS),'$(MODELS)',)

clean:
	rm -rf $(VENV) demo site build
