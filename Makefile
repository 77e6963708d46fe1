# `make` builds results/test.json on the laptop world; `make test` runs the tests, `make test-fast` those
# that build nothing from end to end. All set up first.
PYTHON ?= python3.11
VENV := .venv
TRL := .venv-trl
BIN := $(CURDIR)/$(VENV)/bin
TORCH := torch==2.13.0+cpu
TORCH_INDEX := https://download.pytorch.org/whl/cpu
PYTEST := python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
export PATH := $(BIN):$(PATH)
export HF_HUB_OFFLINE := 1

.PHONY: run test test-fast lint config setup clean
run: setup
	snakemake results/test.json --cores all

test: setup lint
	$(PYTEST)
	$(TRL)/bin/python -m pytest tests/rl/test_trainer.py

test-fast: setup
	$(PYTEST) -m "not build"

lint: setup
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint
	PYTHONPATH=scripts lint-imports
	mypy

# config/config.yaml and the editor's schema are written from the models of the settings.
config: setup
	python scripts/config.py

setup: $(VENV)/.ready $(TRL)/.ready

# The CPU build of torch is not on the package index: take it from where pip is configured to look,
# else from PyTorch's CPU index. The closure is complete, so nothing is resolved (--no-deps).
# torchaudio there is a CUDA build; without its compiled part it imports, which is all that is needed.
$(VENV)/.ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps $(TORCH) || $(BIN)/pip install --quiet --no-deps $(TORCH) --index-url $(TORCH_INDEX)
	$(BIN)/pip install --quiet --no-deps --requirement requirements.txt
	rm -f $(VENV)/lib/python3.11/site-packages/torchaudio/lib/*.so
	touch $@

# TRL wants a newer datasets than LLaMA-Factory allows, so GRPO has an environment of its own.
$(TRL)/.ready: requirements-trl.txt
	$(PYTHON) -m venv $(TRL)
	$(TRL)/bin/pip install --quiet --no-deps $(TORCH) || $(TRL)/bin/pip install --quiet --no-deps $(TORCH) --index-url $(TORCH_INDEX)
	$(TRL)/bin/pip install --quiet --no-deps --requirement requirements-trl.txt
	touch $@

clean:
	rm -rf results logs benchmarks
