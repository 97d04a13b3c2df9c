# Everything happens in .venv, which the first target that needs it makes: Python 3.11 or newer, make and a package
# registry are enough. `make help` lists the targets.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -qq --constraint constraints.txt --editable
BENCHMARKS := ann backfill crash erasure event_faults events experiments exposure faults footprint graph hostile ingest outages overload poison remote_encoders restore retries serve simulate swap ttr

# Its tests have one name for all; of those, several processes would do the first alone.
ALIKE := tests/api/test_openapi.py

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench notebooks clean

help: ## List the targets
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1	/' | expand -t 16

demo: .venv/.demo ## Generate a shop, train, serve it and post new products; ARGS=--exit ends after the figures
	$(BIN)/coldstart demo --data-dir demo-data --threads $$(getconf _NPROCESSORS_ONLN) $(ARGS)

# One thread a process: with more, torch and ONNX Runtime take turns waiting for the processes beside them.
test: .venv/.dev .venv/.triton ## Run the tests, two files at a time; ARGS goes to pytest
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --ignore $(ALIKE) $(ARGS)
	$(if $(ARGS),,OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(ALIKE))

lint: .venv/.dev ## Check style, types, the direction of imports and spelling
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

bench: .venv/.dev .venv/.triton ## Run the benchmarks that need no data set, with --quick
	@set -e; for name in $(BENCHMARKS); do echo "== python -m benchmarks.$$name --quick"; $(BIN)/python -m benchmarks.$$name --quick; done

notebooks: .venv/.dev ## Bring each notebooks/*.ipynb in step with the .py beside it
	$(BIN)/jupytext --quiet --update --to ipynb notebooks/*.py

clean: ## Remove .venv, caches, build outputs, the demo's and the notebooks' data
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info demo-data notebook-data notebooks/notebook-data
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say that .venv holds what the lists asked for when they were last changed.
.venv/.demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into .venv; the first time takes some minutes and 7 GB, most of it torch"
	$(INSTALL) '.[train]'
	@touch $@

.venv/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into .venv; the first time takes some minutes and 7 GB, most of it torch"
	$(INSTALL) '.[train,postgresql,redis,kafka,notebooks,dev]'
	@touch $@

# A server that tests and a benchmark start; its packages are none of ours.
.venv/.triton: benchmarks/triton.txt | $(BIN)/python
	$(BIN)/python -m venv --clear .venv/triton
	.venv/triton/bin/python -m pip install --disable-pip-version-check -qq --no-deps --requirement $<
	@touch $@

$(BIN)/python:
	$(PYTHON) -m venv .venv
