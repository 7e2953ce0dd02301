# On a fresh machine with Python 3.11 or newer and make: `make serve`.

PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
# One more than there are cores: many tests wait for a service.
PARALLEL = --numprocesses $(shell $(PYTHON) -c 'import os; print(1 + os.cpu_count())') --dist worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help serve test test-all test-lowest check audit lock bundled written bench bench-startup bench-hostile

help: ## List these targets.
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

serve: $(VENV)/.serving ## Serve the bundled model on http://localhost:8000 (PORT=...).
	$(BIN)/caveat serve --port $(PORT)

test: $(VENV)/.dev ## Run the tests, in minutes.
	$(BIN)/pytest -m 'not slow' $(PARALLEL)

test-all: $(VENV)/.dev ## Run soaks and sweeps as well, and hold coverage to its floor.
	$(BIN)/pytest --cov $(PARALLEL)

test-lowest: $(VENV)/.dev ## Run the service with the lowest versions of its dependencies.
	$(BIN)/python .ci/lowest.py

check: $(VENV)/.dev ## Check format, lint, types and the arrows between the packages.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(VENV)/.dev ## Look for known vulnerabilities of what is installed.
	$(BIN)/python .ci/audit.py

lock: $(VENV)/.dev ## Lock the newest versions of all dependencies, with hashes.
	$(BIN)/python .ci/lock.py

bundled: $(VENV)/.dev ## Train the bundled digits model anew.
	rm -rf models/bundled/digits
	$(BIN)/caveat train digits --out models/bundled

written: $(VENV)/.dev ## Write the table of settings and the dashboard anew.
	$(BIN)/python docs/settings.py
	$(BIN)/python docker/monitoring/dashboard.py

bench: $(VENV)/.dev ## Measure Caveat beside other servers, under load, and against its limits (two hours).
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/passes.py --bundles build/benchmarks
	$(BIN)/python benchmarks/encoder.py --bundles build/benchmarks
	$(BIN)/python benchmarks/weights.py --bundles build/benchmarks
	$(BIN)/python benchmarks/packing.py --bundles build/benchmarks
	$(BIN)/python benchmarks/products.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/overload.py
	$(BIN)/python benchmarks/lockout.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/head.py
	$(BIN)/python benchmarks/precision.py
	$(BIN)/python benchmarks/judging.py
	$(BIN)/python benchmarks/monitoring.py
	$(BIN)/python benchmarks/entropies.py
	$(BIN)/python benchmarks/stopping.py
	$(BIN)/python benchmarks/memory.py
	$(BIN)/python benchmarks/table.py
	$(BIN)/python benchmarks/plots.py docs/benchmarks
	$(BIN)/python benchmarks/sampling.py --plot docs/sampling.svg

bench-startup: $(VENV)/.serving ## Measure the time to readiness and the memory of the service.
	$(BIN)/python benchmarks/startup.py

bench-hostile: $(VENV)/.dev ## Treat the service badly for an hour, kill its workers, and give it mutants of bundles for an hour.
	$(BIN)/python benchmarks/hostile.py
	$(BIN)/python benchmarks/kills.py
	$(BIN)/python benchmarks/mutants.py

# A stamp records which dependencies are installed, so that a second call installs nothing.
LOCKED := $(BIN)/python -m pip install --require-hashes
EDITABLE := $(BIN)/python -m pip install --no-build-isolation --no-deps --editable .

$(VENV)/.serving: pyproject.toml locks/build.txt locks/serving.txt | $(BIN)/python
	$(LOCKED) -r locks/build.txt -r locks/serving.txt
	$(EDITABLE)
	touch $@

# torch comes last, since the lock can't hold it; what else depends on it goes in before.
$(VENV)/.dev: pyproject.toml locks/build.txt locks/dev.txt locks/torch.txt | $(BIN)/python
	$(LOCKED) --no-deps -r locks/build.txt -r locks/dev.txt
	$(BIN)/python -m pip install -r locks/torch.txt
	$(BIN)/python -m pip check
	$(EDITABLE)
	touch $(VENV)/.serving $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
