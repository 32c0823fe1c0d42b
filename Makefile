# Needs make and Python 3.11 or newer; everything else is put into .venv on first use.
# Extra words for the started program go into ARGS: make test ARGS="-k ledger", make run ARGS="--server.port 8502".
SHELL := /bin/sh
PYTHON ?=
ARGS ?=
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
LOCK_TOOLS := $(VENV)/lock-tools

.DEFAULT_GOAL := help
.PHONY: help run test check bench simulate crash lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' Makefile

run: $(STAMP) ## start the console on http://127.0.0.1:8501
	@$(PY) -m engine setup
	@$(PY) -m streamlit run app.py $(ARGS)

test: $(STAMP) ## run all tests
	@$(PY) -m pytest -n auto --dist loadgroup $(ARGS)

check: $(STAMP) ## lint, format, types and the plan of the house
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

bench: $(STAMP) ## measure speed and memory
	@$(PY) -m benchmarks $(ARGS)

simulate: $(STAMP) ## half an hour of simulated faults and crashes
	@$(PY) -m tests.simulation --minutes 30 --jobs 2 --coverage --json $(ARGS)

crash: $(STAMP) ## kill a trading engine a thousand times
	@$(PY) -m tests.crash --kills 1000 --json $(ARGS)

lock: $(STAMP) ## pin what requirements.txt asks for (ARGS=--upgrade takes the newest)
	@test -x $(LOCK_TOOLS)/bin/uv || { $(PY) -m venv $(LOCK_TOOLS) && $(LOCK_TOOLS)/bin/python -m pip install -q uv; }
	$(LOCK_TOOLS)/bin/uv pip compile --quiet --no-config --system-certs --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
		requirements.txt --output-file requirements.lock $(ARGS)

clean: ## remove .venv and caches; keeps data/ and models/
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis test-results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A venv that was only half made is removed, so that the next call starts afresh.
$(STAMP): requirements.lock
	@for python in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break; \
		found="$$found, $$("$$python" -V 2>/dev/null || echo "no $$python")"; python=; \
	done; \
	test -n "$$python" || { echo "Keel needs Python 3.11 or newer, but found only: $${found#, }. Name another with make PYTHON=/path/to/python." >&2; exit 1; }; \
	if ! test -x $(PY) || ! $(PY) -m pip --version >/dev/null 2>&1; then \
		rm -rf $(VENV); \
		"$$python" -m venv $(VENV) || { rm -rf $(VENV); echo "$$python cannot make a virtual environment; on Debian and Ubuntu install python3-venv." >&2; exit 1; }; \
	fi
	@echo "Installing the pinned packages into $(VENV) (once, a minute or two) ..."
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $(STAMP)
