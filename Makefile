# Everything a user types; `make help` lists it.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help install repro test check ui clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-9s %s\n", $$1, $$2}'

install: $(VENV)/.installed  ## make .venv from requirements.lock

$(VENV)/.installed: requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	@touch $@

repro: install  ## reproduce all declared experiments, from raw data to artifacts/report/report.html
	dvc repro --pull

test: install check  ## run the checks, then all tests
	$(BIN)/python -m pytest

check: install  ## lint, format, types, import contracts
	ruff check .
	ruff format --check .
	mypy
	lint-imports

ui: install  ## compare runs in the MLflow UI on http://127.0.0.1:5000
	mlflow ui --backend-store-uri sqlite:///mlflow.db

clean:  ## remove runs, caches and artifacts; data and MLflow's runs stay
	rm -rf runs cache artifacts/prepare artifacts/statistics artifacts/train artifacts/evaluate artifacts/report
