# make run: a local broker. make test: every check, the same for people and CI. make help lists the rest.
PYTHON ?= python3
BIN := .venv/bin
RUN_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run setup dev test format lint types unit fuzz wheel clients bench bench-log bench-identity bench-read lock docs screenshots demo demo-picture clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: setup ## set everything up and run a local broker (RUN_ARGS="--bind-all" for devices on your network)
	@$(BIN)/doorlog run $(RUN_ARGS)

demo: setup ## a first look, half a minute: a fleet, a certificate that is rotated, and what the log shows of it
	@$(BIN)/doorlog demo

setup: .venv/.ready
dev: .venv/.dev-ready

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "doorlog needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv

.venv/.ready: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev-ready: requirements-dev.lock .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

test: dev lint types clients unit fuzz wheel ## set everything up and pass every check

format: dev ## rewrite the sources in the project's style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: dev ## style and configuration files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/yamllint --strict config docker-compose.yml

types: dev ## static types, strict
	$(BIN)/mypy
	$(BIN)/mypy tests

unit: dev ## tests over real sockets with real clients, and branch coverage
	rm -f .coverage*
	$(BIN)/pytest -n 2 --dist worksteal --cov --cov-report=term --cov-fail-under=$(COVERAGE)
COVERAGE := 98

fuzz: dev ## a short run of each fuzz target (FUZZ_RUNS=1000000 for a long one)
	@for target in tests/fuzz/fuzz_*.py; do \
	  echo "$$target"; $(BIN)/python $$target -runs=$(FUZZ_RUNS) -verbosity=0 || exit 1; \
	done
FUZZ_RUNS ?= 20000

wheel: dev ## install the built wheel in a clean environment and start the broker from it
	sh tests/check_wheel.sh

NODE_CLIENT := tests/support/clients/node
clients: dev $(NODE_CLIENT)/node_modules/.package-lock.json ## the real clients that the tests drive
$(NODE_CLIENT)/node_modules/.package-lock.json: $(NODE_CLIENT)/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix $(NODE_CLIENT) --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@; \
	elif [ "$$DOORLOG_REQUIRE_CLIENTS" = 1 ]; then echo "npm is missing (see .ci/apt-packages.txt)" >&2; exit 1; \
	else echo "no npm: the tests with MQTT.js will be skipped"; fi

bench: dev ## ratios against stock amqtt and mosquitto, measured in one run
	$(BIN)/python -m bench

bench-log: dev ## how fast the log is, beside python-json-logger and structlog (BENCH_ARGS="--soak 600")
	$(BIN)/python -m bench.log $(BENCH_ARGS)

bench-identity: dev ## how well devices that fail in TLS are named, in simulated fleets (BENCH_ARGS="--quick")
	$(BIN)/python -m bench.identity $(BENCH_ARGS)

bench-read: dev ## how fast a log of 1 GB is read, beside jq (BENCH_ARGS="--megabytes 200")
	$(BIN)/python -m bench.read $(BENCH_ARGS)

docs: dev ## make the pages in docs anew from what they describe
	$(BIN)/python -m doorlog.events.explanations >docs/codes.md
	$(BIN)/python -m doorlog.application.reference >docs/configuration.md
	PYTHONPATH=tests $(BIN)/python -m support.log_page >docs/log.md
	PYTHONPATH=tests $(BIN)/python -m support.reading_page

screenshots: dev clients ## pictures of the page in docs/screenshots, of a simulated fleet
	PYTHONPATH=tests $(BIN)/python -m support.screenshots

demo-picture: dev ## what `doorlog demo` shows as docs/demo.svg
	PYTHONPATH=tests $(BIN)/python -m support.demo_picture

lock: ## pin all dependencies anew (needs uv)
	uv pip compile pyproject.toml --extra uvloop --extra nats --extra otlp --extra metrics --extra query --extra web --group build --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements.lock
	uv pip compile pyproject.toml --extra uvloop --extra nats --extra otlp --extra metrics --extra query --extra web --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements-dev.lock

clean: ## remove what was built
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .coverage*
