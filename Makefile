# make demo   the environment, the embedded models and images, and diglot's main job end to end
# make test   the environment if needed, and the tests
# make check  lint and types      make bench  the benchmarks

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/demo

.PHONY: demo test check bench clean

demo: $(VENV)/made
	$(BIN)/diglot fetch
	$(BIN)/diglot demo --out $(OUT)

test: $(VENV)/made
	$(BIN)/diglot fetch
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: $(VENV)/made
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/made
	$(BIN)/diglot fetch
	$(BIN)/python -m benchmarks

# torch first and alone: asked for together with the rest, pip may choose another build of it.
$(VENV)/made: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "diglot needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt torch
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info src/*.egg-info
