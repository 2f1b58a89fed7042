# Everything a newcomer types.  Needs Python >= 3.11 (with venv) and make; the rest is fetched
# once into .venv by the first target that needs it.

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.wattproof-installed
# The first interpreter that is new enough; override with `make PYTHON=/path/to/python`.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(firstword $(foreach p,python3 python3.11 python3.12 python3.13 python3.14,\
	$(shell command -v $(p) >/dev/null 2>&1 && $(p) -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $(p))))

SCENARIO ?= shop
SPEED    ?= 60
# Debian keeps the broker in /usr/sbin, which is not on every user's PATH.
export PATH := $(PATH):/usr/sbin

.DEFAULT_GOAL := help
.PHONY: help setup run test proof bench soak check clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## make .venv and install the project into it, once

$(STAMP): setup.cfg pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "Wattproof needs Python 3.11 or newer; found: $$(python3 --version 2>&1)."; \
		echo "Install one (Debian 12: apt-get install python3 python3-venv), then run make again,"; \
		echo "or name it: make PYTHON=/path/to/python3.11"; exit 1; fi
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module; Debian: apt-get install python3-venv."; exit 1; }
	@test -x $(BIN)/python || { echo "making $(VENV) with $$($(PYTHON) --version)"; \
		$(PYTHON) -m venv $(VENV); }
	@echo "installing Wattproof and its packages into $(VENV) (once, a few minutes)"
	@$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

run: $(STAMP) ## the demo: a shop's cabinet, live on http://127.0.0.1:8080/ (SCENARIO=, SPEED=)
	$(BIN)/python -m simulator demo --scenario $(SCENARIO) --speed $(SPEED)

test: $(STAMP) ## every test that takes seconds (under 6 minutes on 2 cores)
	$(BIN)/python -m pytest -n 2 -m 'not proof and not soak'

proof: $(STAMP) ## power cuts, simulated days, the demo's hour (about 17 minutes on 2 cores)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'proof and not both_cores' --durations=10
	$(BIN)/python -m pytest -m 'proof and both_cores' --durations=3

soak: $(STAMP) ## 20 million power cuts, 5,000 simulated days, fuzzing (hours)
	$(BIN)/python -m pytest -n 2 -m 'not proof and not soak' --hypothesis-profile=explore \
		-o timeout=1800
	$(BIN)/python -m pytest -m soak --durations=0

bench: $(STAMP) ## measure the figures that stand in docs/, with the load they belong to
	$(BIN)/python -m tests.bench

check: $(STAMP) ## ruff, mypy --strict, import-linter, and the house rules
	@failed=; for tool in "ruff check --quiet --output-format concise ." mypy \
		"lint-imports --no-logo" "python -m tests.house"; do echo "== $$tool"; $(BIN)/$$tool || failed=1; done; \
	test -z "$$failed"

clean: ## remove .venv, caches and build products; evidence and keys elsewhere stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
