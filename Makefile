# One target is one job, here and in continuous integration. `make help` lists them.
# PYTHON=python3.12 chooses the interpreter of .venv; everything else runs from .venv.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow check bench lock static images clean setup setup-dev

PY := .venv/bin/python
WORKERS ?= 2

export PYTHON PICTURES JSON BASE_IMAGE UPGRADE

help:  ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: setup  ## pictures in, alerts out: PICTURES=folder plays your own, JSON=file writes the figures
	@$(PY) scripts/build_static.py || true
	@$(PY) -m vedette_cameras.demo --data .demo || [ $$? -eq 130 ]

test: setup-dev  ## the tests, but the long storms; ARGS="-k name" passes words to pytest
	@$(PY) scripts/build_static.py || true
	@$(PY) -m pytest -n $(WORKERS) -m "not slow" $(ARGS)

test-slow: setup-dev  ## the long storms: crashes, races, many files
	@$(PY) -m pytest -m slow $(ARGS)

check: setup-dev  ## lint, format, types, layers, file lengths, versions, locks
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports
	@$(PY) scripts/check_repository.py

bench: setup-dev  ## the published figures, measured on this machine
	@$(PY) bench/alerts.py $(ARGS)
	@$(PY) bench/store.py $(ARGS)
	@$(PY) bench/datum.py $(ARGS)

lock: setup-dev  ## writes the lock files; UPGRADE=1 takes newer versions
	@sh scripts/lock.sh

static: setup  ## what the page's live updates need, copied beside it
	@$(PY) scripts/build_static.py

images: setup  ## the stages as container images; BASE_IMAGE=name builds on another
	@sh scripts/build_images.sh

clean:  ## removes all that make made: .venv, the demo's data, caches
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	rm -rf node_modules src/vedette/dashboard/static/vendor
	find src tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} +

setup:
	@sh scripts/setup.sh requirements.lock

setup-dev:
	@sh scripts/setup.sh requirements-dev.lock
