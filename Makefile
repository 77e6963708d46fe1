# `make` builds results/test.json, and what tells of it, on the laptop world; `make test` runs the tests,
# `make test-fast` those that build nothing from end to end. Each sets up first what it needs.
PYTHON ?= python3.11
VENV := .venv
TRL := .venv-trl
BIN := $(CURDIR)/$(VENV)/bin
PYTEST := python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
export PATH := $(BIN):$(PATH)
export HF_HUB_OFFLINE := 1

# Another folder of results, and the config files that it was built with.
RESULTS ?= results
CONFIG ?=
SNAKEMAKE = snakemake $(RESULTS)/figures/overview.html $(if $(CONFIG),--configfile $(CONFIG))

.PHONY: run report test test-fast lint config setup setup-grpo clean
# --logger: the live view of scripts/searchtrain/workflow/live.py, which PYTHONPATH lets Snakemake find.
run: setup
	PYTHONPATH=$(CURDIR)/scripts snakemake --cores all --logger searchtrain

# What is stale is built, then Snakemake's report: the figures, and the code and settings behind them.
report: setup
	$(SNAKEMAKE) --cores all
	$(SNAKEMAKE) --report $(RESULTS)/report.html --report-stylesheet report/report.css
	@echo "open $(RESULTS)/report.html; all figures on one page: $(RESULTS)/figures/overview.html"

test: setup setup-grpo lint
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

# GRPO has an environment of its own (TRL wants a newer datasets than LLaMA-Factory allows), for which
# only whoever asks for GRPO, or tests it, waits.
setup: $(VENV)/.ready
setup-grpo: $(TRL)/.ready

$(VENV)/.ready: requirements.txt
$(TRL)/.ready: requirements-trl.txt
$(VENV)/.ready $(TRL)/.ready: envs/setup.py
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON): not found; install Python 3.11, or make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) envs/setup.py $(@D) $(filter requirements%,$^)

clean:
	rm -rf results logs benchmarks
