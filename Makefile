# `make` builds results/test.json, and what tells of it, on the laptop world; `make view` opens its
# rollouts in a browser; `make test` runs the tests, `make test-fast` those that build nothing from end to
# end. Each sets up first what it needs.
PYTHON ?= python3.11
VENV := .venv
TRL := .venv-trl
VIEW := .venv-view
# Another folder of results, and the config files that it was built with.
RESULTS := results
CONFIG :=
WITH = $(if $(filter-out results,$(RESULTS)),--config 'pathvars={results: $(RESULTS)}') \
	$(if $(CONFIG),--configfile $(CONFIG))
BIN := $(CURDIR)/$(VENV)/bin
# --logger: the live view of scripts/searchtrain/workflow/live.py, which PYTHONPATH lets Snakemake find. Targets may
# not follow it, as it takes several names.
SNAKEMAKE := PYTHONPATH=$(CURDIR)/scripts snakemake --logger searchtrain --cores all
PYTEST := python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
export PATH := $(BIN):$(PATH)
export HF_HUB_OFFLINE := 1

.PHONY: run report ask test test-fast lint config setup setup-grpo setup-view transcripts view view-bundle clean
run: setup
	$(SNAKEMAKE)

# What is stale is built, then Snakemake's report: the figures, and the code and settings behind them.
report: setup
	$(SNAKEMAKE) $(WITH)
	snakemake $(WITH) --report $(RESULTS)/report.html --report-stylesheet report/report.css
	@echo "open $(RESULTS)/report.html; all figures on one page: $(RESULTS)/figures/overview.html"

# A chat with the student of a finished run, by the run's own settings.
ask: setup
	@python scripts/ask.py --results $(RESULTS)

# Of the tables that there are: no run begins.
transcripts: setup setup-view
	$(SNAKEMAKE) $(RESULTS)/transcripts --allowed-rules transcripts $(WITH)

view: transcripts
	exec $(VIEW)/bin/python scripts/view.py $(RESULTS)/transcripts

# For a web server.
view-bundle: transcripts
	$(VIEW)/bin/inspect view bundle --overwrite --log-dir $(RESULTS)/transcripts --output-dir $(RESULTS)/site

test: setup setup-grpo setup-view lint
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

# GRPO has an environment of its own (TRL wants a newer datasets than LLaMA-Factory allows), and so has the
# browser of rollouts (Inspect wants a newer wrapt): only whoever asks for them, or tests them, waits.
setup: $(VENV)/.ready
setup-grpo: $(TRL)/.ready
setup-view: $(VIEW)/.ready

$(VENV)/.ready: requirements.txt
$(TRL)/.ready: requirements-trl.txt
$(VIEW)/.ready: requirements-view.txt
$(VENV)/.ready $(TRL)/.ready $(VIEW)/.ready: envs/setup.py
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON): not found; install Python 3.11, or make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) envs/setup.py $(@D) $(filter requirements%,$^)

clean:
	rm -rf results logs benchmarks
