# DTVN: `make` lists what can be done here.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# Some images set it: each test process then compiles all tests again, two thirds of the time to collect them.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help install build up down run-network run-simulator run-simulator-partition test test-unit \
	check test-tables test-coverage test-integration test-integration-single test-all nightly lint fmt types docs schema parity sbom bench profile clean

# The network that `make up` runs. Two networks side by side: give each its own DATA and PORT.
NODES ?=
# How its validators agree, at the first start: pbft (default) or raft.
CONSENSUS ?=
PORT ?=
DATA ?= ./data
# Only from make's own line: in some shells HOST is the machine's name. DTVN_HOST in the environment.
HOST =
# Tests run beside each other in this many processes: many wait more than they work.
JOBS ?= 4
FAST = -n $(JOBS) --dist worksteal
NETWORKS = -n 4 --dist loadfile
# A network keeps up to 41 connections, its web process 24 of them; a PostgreSQL allows 97 by default.
ON_SERVERS = -n 2 --dist loadfile
# Left to `make test-all`.
QUICK = not exhaustive and not bench
# What `make check` looks at: a folder of tests.
ROOM ?=
# What `make test-integration-single` runs: part of a test's name, or a file.
TEST ?=
# What `make profile` records, for how many seconds, into which file (.svg, or .json for speedscope).
WHAT ?= web
FOR ?= 30
OUT ?= profile-$(WHAT).svg
# Flags of `make run-simulator`, `make test` and `make bench`.
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
CLIENT := tests/proxy/client
ROOMS = $(notdir $(patsubst %/__init__.py,%,$(wildcard tests/*/__init__.py)))
# Compiled at installation: otherwise each process of the first `make up` compiles them for itself.
COMPILED := dtvn dtvn_project validators tickets events simulator

help: ## List the commands
	@echo "DTVN: a network of validators that agree on every ticket."
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-24s %s\n", $$1, $$2}'
	@echo
	@echo "  make up takes NODES=4 CONSENSUS=pbft PORT=8080 DATA=./data HOST=127.0.0.1"
	@echo "  CONSENSUS=raft survives crashes of more members, but a lying member is not tolerated."
	@echo "  The other targets of the Go DTVN are here too: docs/start/coming-from-go.md"

$(BIN)/python:
	@deploy/make-venv $(VENV)

$(VENV)/.installed: requirements.txt constraints.txt | $(BIN)/python
	@echo "Installing what DTVN needs into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m compileall -q $(COMPILED)
	@touch $@

# The official AG-UI client, for tests; without npm these are skipped.
$(CLIENT)/node_modules/.package-lock.json: $(CLIENT)/package-lock.json
	@if command -v npm >/dev/null; then echo "Installing the official AG-UI client for tests ..."; \
		npm ci --prefix $(CLIENT) --ignore-scripts --no-audit --no-fund --silent; fi

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed | $(CLIENT)/node_modules/.package-lock.json
	@echo "Installing the test and check tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

install: $(VENV)/.installed ## Make .venv and install what running needs

build: $(VENV)/.installed ## Install, and compile every file once: bin/ then starts at once
	@$(BIN)/python -m compileall -q $(COMPILED)

up: $(VENV)/.installed ## Run the network in the foreground; Ctrl-C stops it
	@DTVN_DATA="$(DATA)" NODES="$(NODES)" CONSENSUS="$(CONSENSUS)" PORT="$(PORT)" $(if $(HOST),DTVN_HOST="$(HOST)") exec $(BIN)/python manage.py up

down: $(VENV)/.installed ## Stop a network left behind (DATA=./data)
	@DTVN_DATA="$(DATA)" exec $(BIN)/python manage.py down

run-network: $(VENV)/.installed ## Four validators by themselves in the foreground (DATA=./data-network)
	@$(if $(filter raft,$(CONSENSUS)),echo "make run-network: its validators agree by PBFT; make up CONSENSUS=raft founds others" >&2; exit 2)
	@$(if $(filter command line environment,$(origin DATA)),DATA="$(DATA)") exec deploy/run-network

run-simulator: $(VENV)/.installed ## The consensus core in a virtual network (ARGS="-nodes 7 -seed 3")
	@bin/simulator $(ARGS)

run-simulator-partition: $(VENV)/.installed ## The same, cut in two now and then
	@bin/simulator -partition $(ARGS)

test: $(VENV)/.installed-dev ## The fast tests: five to seven minutes, no long-lived processes (ARGS="-x -k name")
	@$(BIN)/python -m pytest -q $(FAST) --first-rows -m "not integration and not ci and $(QUICK)" $(ARGS)

check: $(VENV)/.installed-dev ## The fast tests of one room with all rows of their tables, and its style: a minute (ROOM=gateway)
	@test -d "tests/$(or $(ROOM),-)" || { echo "which one? make check ROOM=gateway, a folder of tests: $(ROOMS)" >&2; exit 2; }
	@$(BIN)/python -m pytest -q $(FAST) -m "not integration and $(QUICK)" tests/$(ROOM) $(ARGS)
	@$(BIN)/ruff check --quiet .

test-tables: $(VENV)/.installed-dev ## The fast tests with all rows of their tables
	@$(BIN)/python -m pytest -q $(FAST) -m "not integration and $(QUICK)" $(ARGS)

test-unit: test ## The same, under the Go DTVN's name

test-coverage: $(VENV)/.installed-dev ## The fast tests, and which lines they reach (htmlcov/)
	@$(BIN)/python -m pytest -q $(FAST) -m "not integration and $(QUICK)" --cov --cov-report=term:skip-covered --cov-report=html

test-integration: $(VENV)/.installed-dev ## Real processes, sockets and disks: in files, then on PostgreSQL and Redis
	@$(BIN)/python -m pytest -q $(NETWORKS) -m "integration and $(QUICK)" $(ARGS)
	@$(BIN)/python -m pytest -q $(ON_SERVERS) -m backend --scaled-out tests/integration $(ARGS)

test-all: $(VENV)/.installed-dev ## Everything, benches included: an hour alone on a quiet machine
	@deploy/test-all

nightly: $(VENV)/.installed-dev ## The same with 3,000 fresh worlds and 300 generated mutants
	@deploy/test-all nightly

test-integration-single: $(VENV)/.installed-dev ## One of them: TEST=name or TEST=tests/integration/test_rest.py
	@test -n "$(TEST)" || { echo "which one? make test-integration-single TEST=part_of_its_name" >&2; exit 2; }
	@$(BIN)/python -m pytest -v -m integration $(if $(wildcard $(firstword $(subst ::, ,$(TEST)))),"$(TEST)",-k "$(TEST)") $(ARGS)

lint: $(VENV)/.installed-dev ## Style, likely mistakes, and who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-logo

fmt: $(VENV)/.installed-dev ## Bring every file into form
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format .

types: $(VENV)/.installed-dev ## Types, strict in the pure packages
	@$(BIN)/mypy dtvn dtvn_project validators tickets events simulator

docs: $(VENV)/.installed-dev ## Build the documentation, site/index.html; a dead link or anchor fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

schema: $(VENV)/.installed ## Write docs/openapi.json, what GET /api/v1/openapi.json answers
	@$(BIN)/python manage.py openapi > docs/openapi.json

parity: $(VENV)/.installed-dev ## Bring tests/docs/parity.json up to date with the tests
	@$(BIN)/python -m tests.docs.parity

sbom: $(VENV)/.installed-dev ## Write sbom.json: what an installation consists of (CycloneDX 1.6)
	@deploy/make-sbom sbom.json

bench: $(VENV)/.installed ## Measure costs, restart, growth and latency on this machine (half an hour; ARGS="--only costs": five minutes)
	@$(BIN)/python manage.py bench $(ARGS)

profile: $(VENV)/.installed-dev ## Record where a process spends its time (WHAT=web, node0, learner, up, all; FOR=30; OUT=x.svg)
	@deploy/profile $(BIN)/py-spy "$(WHAT)" "$(DATA)" "$(FOR)" "$(OUT)"

clean: ## Remove .venv and caches (never the data)
	@rm -rf $(VENV) site test-data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# --- Under the names of the Go DTVN: the same, and one sentence where there is a better way -------------------
.PHONY: all deps dev-setup tidy proto integration-test test-integration-verbose test-integration-parallel \
	test-integration-debug run-validator run-bootstrap
RUNNER := scripts/run-integration-tests.sh
NODE0_PEER_ID := 12D3KooWLtBkKrip2jyaRzhUphqYyVXGUPMMbmpBWHZMYXaueb9C

all: build

deps: dev-setup

dev-setup: $(VENV)/.installed-dev
	@echo "Installed into $(VENV); every other target does this by itself."

tidy: $(VENV)/.installed-dev
	@$(BIN)/python -m pip check
	@echo "Versions are pinned in constraints.txt; nothing is downloaded or removed here."

proto:
	@echo "Nothing to generate: messages are typed in dtvn/protocol, and docs/understand/protocol has their form."

integration-test: test-integration

test-integration-verbose: $(VENV)/.installed-dev
	@$(RUNNER) -v

test-integration-parallel: $(VENV)/.installed-dev
	@$(RUNNER) -p

test-integration-debug: $(VENV)/.installed-dev
	@$(RUNNER) -v --no-cleanup

run-validator: $(VENV)/.installed
	@echo "One of four, which decide once three run: \`make run-network\` starts all four, \`make up\` a network with pages."
	@echo "The next one: bin/validator -id node1 -total-nodes 4 -dev-keys -data-dir ./data-network/node1 -bootstrap /ip4/127.0.0.1/tcp/4001/p2p/$(NODE0_PEER_ID)"
	@exec bin/validator -id node0 -port 4001 -api-port 8080 -data-dir ./data-network/node0 -primary -total-nodes 4 -dev-keys

run-bootstrap: $(VENV)/.installed
	@echo "One of seven, which decide once five run: \`make up NODES=7\` starts all of them, with pages."
	@echo "The next one: bin/validator -id node1 -total-nodes 7 -dev-keys -data-dir ./data-bootstrap/node1 -bootstrap /ip4/127.0.0.1/tcp/4000/p2p/$(NODE0_PEER_ID)"
	@exec bin/validator -id node0 -port 4000 -api-port 8000 -data-dir ./data-bootstrap/node0 -bootstrap-node -primary -total-nodes 7 -dev-keys
