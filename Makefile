# make demo | test | bench | lint : each does all its own set-up in .venv; nothing needs to be installed by hand.
SHELL := /bin/sh
export PYTHONDONTWRITEBYTECODE :=
VENV ?= .venv
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then command -v $$p; break; fi; done)
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
WORKERS ?= 2

.PHONY: help demo test lint bench docs clean

help:
	@echo 'make demo    start the cloud, deploy a real application, run it, show result, trace and bill'
	@echo 'make test    every test (what this machine lacks is skipped, with the reason)'
	@echo 'make lint    ruff and mypy --strict'
	@echo 'make bench   measure against the targets; writes bench/out/'
	@echo 'make docs    write the generated pages under docs/services anew'
	@echo 'make clean   remove .venv and caches'

$(READY):
	@test -n "$(PYTHON)" || { echo 'haneul needs Python 3.11 or newer with the venv module (Debian: apt-get install python3-venv)'; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON) …"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,test]'
	@touch $@

demo: $(READY)
	@$(BIN)/haneul demo

test: $(READY)
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup

lint: $(READY)
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: $(READY)
	@mkdir -p bench/out
	@$(BIN)/python -m bench.run --out bench/out/latest.json

docs: $(READY)
	@$(BIN)/python -m haneul.clouds.aws.coverage

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis bench/out
