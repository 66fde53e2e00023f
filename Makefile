# Everything a user types; `make help` lists it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := true

.DEFAULT_GOAL := help
.PHONY: help install repro record test campaign check bench ui clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: $(VENV)/.installed  ## make .venv from requirements.lock

$(VENV)/.installed: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	@touch $@

repro: install data  ## reproduce all declared experiments, from raw data to artifacts/report/report.html, and compare with those in git
	dvc repro
	$(BIN)/python -m pipeline.verify

data: | install
	dvc pull --quiet --remote store data.dvc

record: install  ## after `dvc repro` made other results: write down where, then commit dvc.lock and artifacts/
	$(BIN)/python -m pipeline.verify record=true

test: install data check  ## run the checks, then all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile  # a thread for each process

campaign: install data  ## hundreds of kills, damaged files and bad inputs; takes hours
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m campaign --numprocesses 2

check: install  ## lint, format, types, import contracts, and whether dvc.lock is that of this code
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	dvc status --quiet compose || (echo "dvc.lock is not that of conf/ and pipeline/: run dvc repro, and commit it" && false)

bench: install data  ## measure speed, and write benchmarks/results.md; leave the machine alone meanwhile
	$(BIN)/python -m benchmarks.run

# MLflow opens its view of language models unless the address asks for the one of training; it keeps the choice.
UI := http://127.0.0.1:5000/\#/experiments?workflowType=machine_learning
ui: install  ## compare runs in the MLflow UI, and open it in a browser if there is a screen
	@echo "$(UI)"
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] || [ "$$(uname)" = Darwin ]; then (sleep 5; $(BIN)/python -m webbrowser "$(UI)") & fi; \
	mlflow ui --backend-store-uri sqlite:///mlflow.db

clean:  ## remove runs, caches and artifacts; data and MLflow's runs stay
	rm -rf runs cache artifacts/prepare artifacts/statistics artifacts/search artifacts/train artifacts/evaluate artifacts/report
