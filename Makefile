# Each target works alone on a fresh machine that has Python 3.11 or newer and make. PYTHON=... chooses another interpreter.
PYTHON ?= python3
BIN := .venv/bin
USER_MARK := .venv/installed
DEV_MARK := .venv/installed-dev
# A test file at a time on each processor; what a file sets up is set up once.
BESIDE := -n logical --maxprocesses 4 --dist loadfile

.PHONY: demo test test-slow lint format clean

demo: $(USER_MARK)
	$(BIN)/tundish demo

test: $(DEV_MARK)
	$(BIN)/python -m pytest $(BESIDE)

test-slow: $(DEV_MARK)
	$(BIN)/python -m pytest $(BESIDE) -m ""

lint: $(DEV_MARK)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEV_MARK)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 15) else "Tundish needs Python 3.11 to 3.14: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

$(USER_MARK): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e .
	touch $@

$(DEV_MARK): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[dev]'
	touch $(USER_MARK) $@
