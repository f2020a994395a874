# Everything that is done with a clone. `make demo` and `make test` need python3 (3.11 or later, with venv).
SHELL := /bin/sh
.DEFAULT_GOAL := help
bin := .venv/bin
python := $(or $(PYTHON),python3)
ready := .venv/.ready
sources := app berth migrations tests bench deploy
PYTEST_WORKERS ?= 2
args ?=
# Taste: line breaks after headings, empty spans, types of buttons in forms, url_for for paths that are ours.
djlint_ignored := H015,H020,H043,J018

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(ready): requirements.lock pyproject.toml deploy/setup.sh
	@sh deploy/setup.sh

setup: $(ready)  ## the virtual environment, as requirements.lock says

demo: $(ready)  ## start Berth, run the main job through its API, show and check what happened
	@$(bin)/berth demo $(args)

demo-kubernetes: $(ready)  ## the same in pods of a Kubernetes that it brings up and takes down; Linux, root, Go
	@$(bin)/python -m deploy.testcluster demo $(args)

up: $(ready)  ## start Berth and stay; Ctrl-C ends it
	@$(bin)/berth up $(args)

test: $(ready)  ## the tests, then the short fault experiments; args=tests/unit runs these tests alone
	@$(bin)/pytest -n $(PYTEST_WORKERS) --dist worksteal -q -m "not chaos and not cluster" $(args) || { \
		echo "== once more, by themselves: the tests that failed beside all the others"; \
		$(bin)/pytest -q -m "not chaos and not cluster" --last-failed --last-failed-no-failures none $(args); }
	@test -n "$(args)$(NO_CLUSTER)" || $(MAKE) --no-print-directory cluster-test
	@test -n "$(args)" || $(bin)/pytest -q -m chaos tests/chaos || { \
		echo "== once more: the experiments that failed"; \
		$(bin)/pytest -q -m chaos --last-failed --last-failed-no-failures none tests/chaos; }

cluster-build:  ## what the test cluster is made of: packages, programs, images; about 10 minutes, once
	@$(python) -m deploy.testcluster build

cluster-up:  ## a real Kubernetes on this machine, to try things on; see docs/testcluster.md
	@$(python) -m deploy.testcluster up

cluster-down:  ## end it; nothing of it is left
	@$(python) -m deploy.testcluster down

# Two clusters side by side: most of these tests wait for pods.
cluster-test: $(ready)  ## the tests on it, in clusters of their own; args="-k dns" runs a part
	@$(bin)/pytest -n $(PYTEST_WORKERS) --dist loadfile -q -m cluster tests/clusters/kubernetes $(args) || { \
		echo "== once more: the tests that failed on the cluster"; \
		$(bin)/pytest -q -m cluster --last-failed --last-failed-no-failures none tests/clusters/kubernetes $(args); }

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

bench-kubernetes: $(ready)  ## measure runs on the test cluster; writes docs/benchmarks-kubernetes.md
	@$(bin)/python -m bench.kubernetes $(args)

chaos: $(ready)  ## the fault experiments at their full size; args=--short, args=--kubernetes: see docs/reliability.md
	@$(bin)/python -m tests.chaos $(args)

.PHONY: help setup demo demo-kubernetes up test cluster-build cluster-up cluster-down cluster-test fuzz check fast lint types schema fmt lock pictures bench bench-ui bench-kubernetes chaos
