.DEFAULT_GOAL := help
.PHONY: help setup demo dev test check versions second-opinion bench clean

# Containers often forbid Python to keep what it has compiled: each process would compile Dagster and pandas again, for a second or more.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PORT ?= 3000
WAREHOUSE ?= duckdb
PEOPLE ?=
PYTEST_ARGS ?=
ROWS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.ready-dev ## install everything into .venv (the others do it by themselves)

ifeq ($(WAREHOUSE),duckdb)
demo: .venv/.ready ## sample warehouse, sandbox, real windows through Dagster; prints what happened. PEOPLE=2000: a smaller one. WAREHOUSE=snowflake|bigquery: out of a local one
	@$(BIN)/python -m klaviyo_sync.demo $(PEOPLE:%=--people %)
else
demo: .venv/.ready-dev
	@$(BIN)/python klaviyo_sync_tests/demo_elsewhere.py $(WAREHOUSE) $(PEOPLE:%=--people %)
endif

dev: .venv/.ready ## the same, and then the Dagster UI on PORT (3000), until Ctrl-C
	@$(BIN)/python -m klaviyo_sync.demo --serve --port $(PORT) $(PEOPLE:%=--people %)

test: .venv/.ready-dev ## tests but the long ones, in parallel; PYTEST_ARGS="-k windows" for some of them
	@$(BIN)/python -m pytest -n auto -m "not long" $(PYTEST_ARGS)

check: .venv/.ready-dev ## style, types, layers, all tests, with many examples of each property
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -n auto --hypothesis-profile=long $(PYTEST_ARGS)

versions: .venv/.ready ## demo and tests with the lowest and the newest versions that are allowed, on the oldest and the newest Python here
	@$(BIN)/python .ci/versions.py

second-opinion: .venv/.ready-dev .venv-bqemulator/.ready ## the shared warehouse tests on bqemulator, another BigQuery than our own
	@KLAVIYO_SYNC_TEST_BQEMULATOR=.venv-bqemulator/bin/bqemulator $(BIN)/python -m pytest -k bigquery-emulator -rx $(PYTEST_ARGS)

bench: .venv/.ready-dev ## throughput and memory, beside other ways to do the same; ROWS=200000 for fewer rows
	@cd klaviyo_sync_tests && ../$(BIN)/python -m bench $(ROWS)

clean: ## take away the demo and the caches; Dagster's history in .dagster stays, it is the record of what was imported
	rm -rf .demo .versions .pytest_cache .hypothesis .ruff_cache .import_linter_cache .tmp_dagster_home_*
	find klaviyo_sync klaviyo_sync_tests -name __pycache__ -type d -prune -exec rm -rf {} +

# It insists on DuckDB's spatial extension, which it would download; PyPI has it for DuckDB 1.5.5. It forgets to ask for numpy.
.venv-bqemulator/.ready: Makefile
	@python3 -m venv .venv-bqemulator
	@.venv-bqemulator/bin/pip install --quiet bqemulator==1.4.0 duckdb==1.5.5 duckdb-extension-spatial==1.5.5 duckdb-extensions numpy
	@touch $@

.venv/.ready: pyproject.toml .ci/set-up
	@echo "Installing into .venv; this takes a minute or two, once."
	@.ci/set-up
	@touch $@

.venv/.ready-dev: pyproject.toml .ci/set-up
	@echo "Installing into .venv, with what tests and checks need; this takes a minute or two, once."
	@.ci/set-up dev
	@touch .venv/.ready $@
