# DTVN: `make` lists what can be done here.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help install up down test test-integration lint types bench clean

# The network that `make up` runs. Two networks side by side: give each its own DATA and PORT.
NODES ?=
PORT ?=
DATA ?= ./data
HOST ?=
# Tests run beside each other in this many processes.
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin

help: ## List the commands
	@echo "DTVN: a network of validators that agree on every ticket."
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-18s %s\n", $$1, $$2}'
	@echo
	@echo "  make up takes NODES=4 PORT=8080 DATA=./data HOST=127.0.0.1"

$(BIN)/python:
	@deploy/make-venv $(VENV)

$(VENV)/.installed: requirements.txt constraints.txt | $(BIN)/python
	@echo "Installing what DTVN needs into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing the test and check tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

install: $(VENV)/.installed ## Make .venv and install what running needs

up: $(VENV)/.installed ## Run the network in the foreground; Ctrl-C stops it
	@DTVN_DATA="$(DATA)" NODES="$(NODES)" PORT="$(PORT)" HOST="$(HOST)" exec $(BIN)/python manage.py up

down: $(VENV)/.installed ## Stop a network left behind (DATA=./data)
	@DTVN_DATA="$(DATA)" exec $(BIN)/python manage.py down

test: $(VENV)/.installed-dev ## The fast tests: no long-lived processes
	@$(BIN)/python -m pytest -q -n $(JOBS) -m "not integration"

test-integration: $(VENV)/.installed-dev ## Real processes, sockets and disks: in files, then on PostgreSQL and Redis
	@$(BIN)/python -m pytest -q -m integration
	@$(BIN)/python -m pytest -q -m integration --scaled-out tests/integration

lint: $(VENV)/.installed-dev ## Style, likely mistakes, and who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

types: $(VENV)/.installed-dev ## Types, strict in the pure rooms
	@$(BIN)/mypy dtvn_project validators tickets simulator

bench: $(VENV)/.installed ## Measure operations per second and latency on this machine
	@$(BIN)/python manage.py bench

clean: ## Remove .venv and caches (never the data)
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
