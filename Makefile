# Everything happens in .venv; the first target that needs it builds it. Needs Python >= 3.11, a C++17 compiler, make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
TORCH := $(shell grep '^torch==' constraints.txt)
NATIVE := pyproject.toml constraints.txt CMakeLists.txt $(shell find csrc -type f)
SOURCES := $(shell find src -name '*.py' -o -name '*.toml' -o -name '*.j2' -o -name '*.css' -o -name '*.js' -o -name '*.svg')

.PHONY: help demo test slow lint bench bench-all results clean

help:
	@echo "make demo      train, compress and run a small network: the whole job in a minute or two"
	@echo "make test      the fast tests"
	@echo "make slow      the slow tests: installation, sanitizers, fuzzing, training, the examples"
	@echo "make lint      ruff, mypy, import floors"
	@echo "make bench     time runs/*/model.kpt beside other engines"
	@echo "make bench-all every speed record, for some hours on a quiet machine; goes on where it was"
	@echo "make results   docs/results.md from the records"
	@echo "make clean     remove what was built (runs/ stays)"

demo: $(VENV)/.demo
	$(BIN)/kompakt demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto -m "not slow"

# Slow tests build with two jobs each: two processes are enough.
slow: $(VENV)/.examples
	$(BIN)/python -m pytest -n 2 -m slow

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench
	@ls runs/*/model.kpt > /dev/null 2>&1 || { echo "error: no runs/*/model.kpt; run a recipe first: $(BIN)/kompakt compress RECIPE.toml"; exit 1; }
	for file in runs/*/model.kpt; do \
	  $(BIN)/kompakt bench $$file --threads 1,2 --batch 1,32 --save benchmarks/results/$$(basename $$(dirname $$file)).json || exit 1; \
	done

bench-all: $(VENV)/.bench
	KOMPAKT=$(BIN)/kompakt benchmarks/all.sh
	$(BIN)/python benchmarks/figures.py
	$(BIN)/python benchmarks/roofline.py
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/kompakt results

results: $(VENV)/.dev
	$(BIN)/kompakt results

clean:
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The CPU build of torch comes first: what follows then finds its pin satisfied.
$(VENV)/.torch: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or later is needed, $(PYTHON) is $$($(PYTHON) --version 2>&1); use: make PYTHON=python3.12"; exit 1; }
	@command -v c++ > /dev/null || command -v g++ > /dev/null || command -v clang++ > /dev/null || { echo "error: a C++17 compiler is needed (g++ or clang++)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "error: the module venv is needed; on Debian: apt-get install python3-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing $(TORCH), about 200 MB"
	$(PIP) install -c constraints.txt $(TORCH)
	@touch $@

$(VENV)/.demo: $(VENV)/.torch $(NATIVE) $(SOURCES)
	$(PIP) install -c constraints.txt '.[demo]'
	@touch $@

# Editable: tests see the sources as they are; only the native module is built again when its sources change.
$(VENV)/.dev: $(VENV)/.torch $(NATIVE)
	$(PIP) install -c constraints.txt -e '.[test,lint,demo]'
	@touch $@

# Kompakt is installed already, so only what the examples need is fetched: 110 MB, no second build.
$(VENV)/.examples: $(VENV)/.dev
	$(PIP) install -c constraints.txt 'kompakt[examples]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) install -c constraints.txt -e '.[bench,litert]'
	@touch $@
