# Everything that is done with a clone. `make demo` and `make test` need python3 (3.11 or later, with venv).
SHELL := /bin/sh
.DEFAULT_GOAL := help
bin := .venv/bin
ready := .venv/.ready
sources := app berth migrations tests bench
PYTEST_WORKERS ?= 2
args ?=
# Taste: line breaks after headings, empty spans, types of buttons in forms, url_for for paths that are ours.
djlint_ignored := H015,H020,H043,J018

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(ready): requirements.lock pyproject.toml deploy/setup.sh
	@sh deploy/setup.sh

setup: $(ready)  ## the virtual environment, as requirements.lock says

demo: $(ready)  ## start Berth, run the main job through its API, show and check what happened
	@$(bin)/berth demo $(args)

up: $(ready)  ## start Berth and stay; Ctrl-C ends it
	@$(bin)/berth up $(args)

test: $(ready)  ## the tests, then the short fault experiments; args=tests/unit runs these tests alone
	@$(bin)/pytest -n $(PYTEST_WORKERS) --dist worksteal -q -m "not chaos" $(args) || { \
		echo "== once more, by themselves: the tests that failed beside all the others"; \
		$(bin)/pytest -q -m "not chaos" --last-failed --last-failed-no-failures none $(args); }
	@test -n "$(args)" || $(bin)/pytest -q -m chaos tests/chaos || { \
		echo "== once more: the experiments that failed"; \
		$(bin)/pytest -q -m chaos --last-failed --last-failed-no-failures none tests/chaos; }

fuzz: $(ready)  ## generated requests against the API; args=20000 sets how many (200,000)
	@BERTH_FUZZ_CASES=$(or $(args),200000) BERTH_FUZZ_SEED=$${BERTH_FUZZ_SEED:-$$(date +%s)} $(bin)/pytest -n $(PYTEST_WORKERS) --dist worksteal -q tests/api/test_fuzz.py

check: $(ready) lint types schema  ## format, lint, types, import contracts, templates, migrations, tests
	@$(MAKE) --no-print-directory test

fast: $(ready) lint types  ## the part of check that takes seconds; the pre-commit hook

lint: $(ready)  ## format and lint of code and templates, import contracts
	@$(bin)/ruff format --check --quiet --output-format concise . && echo "format    ok"
	@$(bin)/ruff check --quiet --output-format concise . && echo "lint      ok"
	@$(bin)/lint-imports --no-cache >.venv/contracts.txt 2>&1 || { cat .venv/contracts.txt; exit 1; }
	@echo "contracts ok"
	@$(bin)/djlint --lint --profile jinja --ignore $(djlint_ignored) --quiet app/templates >.venv/templates.txt 2>&1 || \
		{ cat .venv/templates.txt; exit 1; }
	@echo "templates ok"

types: $(ready)  ## mypy, strict
	@$(bin)/mypy --no-error-summary && echo "types     ok"

schema: $(ready)  ## whether the migrations make exactly the tables of app/models
	@$(bin)/python -m app.trial.schema_check && echo "schema    ok"

fmt: $(ready)  ## format the code and mend what can be mended
	@$(bin)/ruff format --quiet . && $(bin)/ruff check --fix --quiet .

lock: $(ready)  ## write requirements.lock anew (args=--upgrade for newer versions)
	@sh deploy/lock.sh $(args)

pictures: $(ready)  ## pictures of every page, theme, width and language; args=FOLDER (pictures)
	@$(bin)/python -m tests.browser.gallery $(or $(args),pictures)

bench: $(ready)  ## measure beside bare FastAPI + psycopg; writes docs/benchmarks.md
	@$(bin)/python -m bench $(args)

bench-ui: $(ready)  ## measure the pages in a browser beside their goals; writes docs/benchmarks-ui.md
	@$(bin)/python -m bench.ui $(args)

chaos: $(ready)  ## the fault experiments at their full size; args=--short takes about 12 minutes
	@$(bin)/python -m tests.chaos $(args)

.PHONY: help setup demo up test fuzz check fast lint types schema fmt lock pictures bench bench-ui chaos
