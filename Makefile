# Each target does its own set-up, in .venv beside this file; the second time that takes no time.
# Another Python: make setup PYTHON=python3.12

PYTHON ?= python3
SECONDS := 20
MINUTES := 60
BIN := .venv/bin
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help setup model demo ready test quick check man fuzz bench soak pictures samples clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s%s\n", $$1, $$2}'

setup: ## make .venv with everything in it, and name what is missing
	@PYTHON="$(PYTHON)" bash .ci/setup

model: setup
	@$(BIN)/anechoic model fetch

demo: model ## the whole story on the samples, in a minute
	@$(BIN)/anechoic demo

ready: model
	@PYTHON="$(PYTHON)" bash .ci/setup tests

test: ready ## all tests, real recognition included
	@$(BIN)/python -m pytest -n auto --maxprocesses 8

quick: setup ## the tests that need no model, microphone or browser
	@$(BIN)/python -m pytest -m "not model and not microphone and not browser and not slow"

check: setup ## lint, format and types
	@$(BIN)/python -m ruff check
	@$(BIN)/python -m ruff format --check
	@$(BIN)/python -m mypy

fuzz: setup ## a fuzzer on each parser; SECONDS=20 each
	@$(BIN)/python -c "import atheris" 2>/dev/null || $(BIN)/python -m pip install -q -e ".[fuzz]"
	@set -e; log=$$(mktemp); trap 'rm -f "$$log"' EXIT; for name in $$($(BIN)/python -m tests.fuzz 2>/dev/null); do \
		$(BIN)/python -m tests.fuzz $$name -max_total_time=$(SECONDS) >"$$log" 2>&1 || \
			{ cat "$$log"; exit 1; }; \
		echo "$$name: $$(tail -n 1 "$$log")"; \
	done

man: setup ## the manual page, as build/anechoic.1
	@mkdir -p build && $(BIN)/python -m pipeline.manual >build/anechoic.1
	@echo "to have it for yourself: install -Dm644 build/anechoic.1 ~/.local/share/man/man1/anechoic.1"

bench: ready ## everything beside what people use instead, in half an hour; QUICK=1 for minutes
	@$(BIN)/python -c "import matplotlib, sqlcipher3" 2>/dev/null || $(BIN)/python -m pip install -q -e ".[bench]"
	@$(BIN)/python -m tests.bench $(if $(QUICK),--quick)

soak: ready ## an hour of mixed work on one vault, looked at from all sides; MINUTES=60
	@$(BIN)/python -m tests.bench.soak --minutes $(MINUTES)

pictures: ready ## make the pictures of the README again (needs chromium)
	@$(BIN)/python -m tests.pictures

samples: setup ## make the sample recordings again (needs flite)
	@$(BIN)/python samples/make.py

clean: ## remove what set-up, tests and builds made; vaults and models stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find keys pipeline tests samples -name __pycache__ -type d -prune -exec rm -rf {} +
