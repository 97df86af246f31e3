# make demo       the environment, the embedded models and images, and diglot's main job end to end
# make test       the environment if needed, and the tests      make test-slow  those left out of it
# make check      lint, format, types          make docs       the pages, warnings are errors
# make coverage   the tests with coverage      make bench      the benchmarks
# make peers      an environment under build/peers with TRL, and diglot's step beside that of other trainers
# make lmms       an environment with lmms-eval under build/lmms, which the tests marked slow then use
# make test-lowest, make test-newest           the core tests under the lowest and the newest releases

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/demo
# What runs under other releases: everything that computes with torch and transformers.
CORE_TESTS := tests/core tests/metrics tests/models tests/objectives tests/train
# Which torch the two targets take, as a requirement: pip may know only some builds of it.
LOWEST_TORCH ?= $(shell sed -n 's/^ *"\(torch\)>=\([0-9.]*\)",/\1==\2/p' pyproject.toml)
NEWEST_TORCH ?= torch
LMMS := lmms_eval==0.7.3 'decord>=0.6' 'filelock<4'

.PHONY: demo test test-slow check docs coverage bench peers lmms clean test-lowest test-newest

demo: $(VENV)/made
	$(BIN)/diglot fetch
	$(BIN)/diglot demo --out $(OUT)

test: $(VENV)/made
	$(BIN)/diglot fetch
	$(BIN)/python -m pytest -n 2 -m 'not slow' $(ARGS)

test-slow: $(VENV)/made
	$(BIN)/diglot fetch
	$(BIN)/python -m pytest -n 2 -m 'slow or hypothesis' --hypothesis-profile=thorough $(ARGS)

check: $(VENV)/made
	$(BIN)/ruff check src tests benchmarks examples docs
	$(BIN)/ruff format --check src tests benchmarks examples docs
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: $(VENV)/made
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "build/site/index.html"

coverage: $(VENV)/made
	$(BIN)/diglot fetch
	mkdir -p build/coverage
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered --cov-report=html $(ARGS)

bench: $(VENV)/made
	$(BIN)/diglot fetch
	$(BIN)/python -m benchmarks

peers: build/peers/made
	build/peers/bin/diglot fetch
	build/peers/bin/python -m benchmarks.peers $(ARGS)

build/peers/made: pyproject.toml constraints.txt benchmarks/peers/requirements.txt
	$(PYTHON) -m venv build/peers
	build/peers/bin/pip install --disable-pip-version-check -q -c constraints.txt torch
	build/peers/bin/pip install --disable-pip-version-check -q -c constraints.txt \
		-r benchmarks/peers/requirements.txt -e '.[demo]'
	@touch $@

# torchvision goes where it does not load beside the installed torch; lmms-eval runs without it.
lmms:
	$(PYTHON) -m venv build/lmms
	build/lmms/bin/pip install --disable-pip-version-check -q -c constraints.txt torch
	build/lmms/bin/pip install --disable-pip-version-check -q $(LMMS)
	build/lmms/bin/python -c 'import torchvision' 2>/dev/null || build/lmms/bin/pip uninstall -q -y torchvision
	build/lmms/bin/python -c 'import lmms_eval, decord'

# torch first and alone: asked for together with the rest, pip may choose another build of it.
$(VENV)/made: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "diglot needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt torch
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@touch $@

test-lowest:
	mkdir -p build
	$(PYTHON) -m tests.lowest | sed 's/^torch==.*/$(LOWEST_TORCH)/' > build/lowest.txt
	$(PYTHON) -m venv build/lowest
	build/lowest/bin/python -m pip install --disable-pip-version-check -q '$(LOWEST_TORCH)'
	build/lowest/bin/python -m pip install --disable-pip-version-check -q -c build/lowest.txt \
		-e '.[demo,lora,words]' pytest pytest-xdist hypothesis
	build/lowest/bin/python -m pytest -n 2 -m 'not slow' $(CORE_TESTS)

test-newest:
	$(PYTHON) -m venv build/newest
	build/newest/bin/python -m pip install --disable-pip-version-check -q --upgrade '$(NEWEST_TORCH)'
	build/newest/bin/python -m pip install --disable-pip-version-check -q --upgrade \
		--upgrade-strategy eager -e '.[demo,lora,words]' '$(NEWEST_TORCH)' pytest pytest-xdist hypothesis
	build/newest/bin/python -m pytest -n 2 -m 'not slow' $(CORE_TESTS)

clean:
	rm -rf $(VENV) build *.egg-info src/*.egg-info
