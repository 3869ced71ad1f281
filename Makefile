# Everything prepares itself: `make demo` and `make test` need python3 (3.11 or newer) and make, nothing else.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
RULES_TESTS := tests/unit/rules $(addprefix tests/unit/test_,$(addsuffix .py,arrival chain identity naming schedule state table telling))
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras --quiet \
	--custom-compile-command 'make lock'

.PHONY: install demo up test test-unit debian coverage mutation lint format clean lock chaos chaos-quick chaos-report attack attack-web bench screenshots contract examples test-secure sbom recovery drills runbook upgrade namespaces lag-truth kubernetes
.DEFAULT_GOAL := install

install: .venv/.dev

# What the program needs to run, and the program itself (editable, nothing fetched that is not pinned).
.venv/.runtime: requirements/runtime.txt requirements/runtime.in requirements/dev.in pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: set PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "installing the pinned packages into .venv (about a minute, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "this Python lacks venv (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(PIP) install --require-hashes -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --no-index -e .
	@touch $@

.venv/.dev: .venv/.runtime requirements/dev.txt
	@echo "installing the pinned test packages into .venv"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

demo: .venv/.runtime
	@$(BIN)/escrow demo $(ARGS)

up: .venv/.runtime
	@$(BIN)/escrow up $(ARGS)

# One pytest run: tests/conftest.py puts unit first, acceptance next, integration last, and shares them out to three
# workers, each with servers of its own: two would leave a seventh of two cores idle. JOBS=0 runs all in one process.
PARALLEL = -n $(or $(JOBS),3)
test: install
	@$(MAKE) -j2 lint coverage $(if $(filter true,$(CI)),debian)
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# Programs of Debian's that some tests run; without them those tests say that they are skipped, but not in CI.
debian:
	@.ci/debian prometheus

# Minutes to half an hour, can be stopped at any time; keeps what it found in .mutation. ARGS=schemas
mutation: install
	@$(BIN)/python -m tests.mutation $(ARGS)

# The same acceptance tests on servers that believe nobody: TLS, passwords, rights and roles. Ten minutes.
# SECURE=signed: with signatures, too.
test-secure: install
	ESCROW_UP_SECURE=$(or $(SECURE),1) $(BIN)/python -m pytest $(PARALLEL) tests/acceptance $(ARGS)

# What all of it is made of: build/sbom.cdx.json (CycloneDX) and build/licences.md.
sbom: .venv/.runtime
	@$(BIN)/python -m ops.sbom build

test-unit: install
	$(BIN)/python -m pytest tests/unit $(ARGS)

# Long, can be stopped at any time: every round adds itself to tests/chaos/ledger.jsonl. HOURS=1
chaos: install
	@$(BIN)/python -m tests.chaos long --hours $(or $(HOURS),1)

# The pictures in docs/console; needs Chromium. ARGS="overview lag": only these.
screenshots: install
	@$(BIN)/python -m tests.acceptance.screenshots $(ARGS)

# The published contract as the official AsyncAPI parser reads it; needs Node and npm.
contract: install
	@$(BIN)/escrow contract check
	@cd tests/asyncapi && npm ci --ignore-scripts --no-audit --no-fund --silent && node check.mjs ../../docs/contract/asyncapi.json

# The clients of examples/ in Java, Node, Go and kcat, each where its runtime is there; they load their libraries. And
# every command of docs/how-to, typed on one working line; and those that stay, as their pages have them.
examples: install
	$(BIN)/python -m pytest $(addprefix tests/integration/,examples_elsewhere.py how_to_typed.py pages_typed.py) $(ARGS)

# A minute: a restore to a point in time; a server that is killed at work while its replica goes on.
recovery: install
	$(BIN)/python -m pytest -q -n 0 tests/integration/recovery.py $(ARGS)

# Five minutes: the alerts that `make test` has no time for. Each fires on a real line, is mended as its runbook
# section says, and is gone.
drills: install debian
	$(BIN)/python -m pytest -q -n 0 tests/acceptance/drills.py $(ARGS)

# A minute, where the machine is quiet: the lag as an exporter of others and a person at a browser see it.
lag-truth: install .klag/bin/klag-exporter
	$(BIN)/python -m pytest -q -s -n 0 tests/acceptance/lag_elsewhere.py $(ARGS)

# Built from its source, five minutes once. Needs cargo, and on Debian: apt-get install g++ cmake pkg-config libsasl2-dev
# libssl-dev libcurl4-openssl-dev
.klag/bin/klag-exporter:
	cargo install klag-exporter --version 0.1.29 --locked --root .klag

# Four minutes: workers and relays on hosts of their own (network namespaces), and the cable of one is pulled. Needs root.
namespaces: install
	$(BIN)/python -m pytest -q -n 0 tests/acceptance/namespaces.py $(ARGS)

# docs/kubernetes.md typed with a real kubectl against a server of ours, and Kubernetes' own schemas, which are large.
kubernetes: .venv/.kubernetes
	@command -v kubectl >/dev/null || .ci/debian kubernetes-client
	$(BIN)/python -m pytest -q -n 0 tests/integration/kubernetes_typed.py $(ARGS)

.venv/.kubernetes: .venv/.dev requirements/kubernetes.txt
	@$(PIP) install --require-hashes -r requirements/kubernetes.txt
	@touch $@

# Half a minute: the release before and this one, on the newer schema, in turns. Needs the history of the repository.
upgrade: install
	$(BIN)/python -m pytest -q -n 0 tests/integration/upgrade.py $(ARGS)

# Ten minutes: docs/runbook.md on a real line, each trouble made, and its commands typed as they stand there.
runbook: install
	$(BIN)/python -m pytest -q -n 0 tests/acceptance/runbook_typed.py $(ARGS)

chaos-quick: install
	@$(BIN)/python -m tests.chaos quick $(ARGS)

# Ten thousand forged, replayed, altered and stripped records; ARGS="--line --seed N"
attack: install
	@$(BIN)/python -m tests.attack $(ARGS)

# schemathesis against every address of the console; its packages are installed for this alone.
attack-web: .venv/.attack
	$(BIN)/python -m pytest -q -n 0 tests/integration/web_attacked.py $(ARGS)

.venv/.attack: .venv/.dev requirements/attack.txt
	@$(PIP) install --require-hashes -r requirements/attack.txt
	@touch $@

chaos-report: install
	@$(BIN)/python -m tests.chaos report

# The rules, line and branch, by the tests that are about them alone (tests/unit/rules and its neighbours).
coverage: install
	$(BIN)/python -m pytest -q --cov=escrow --cov-branch --cov-report=term --cov-fail-under=100 $(RULES_TESTS)

# Ten minutes on a machine that does nothing else; ARGS=--quick takes two.
bench: install
	@$(BIN)/python -m bench $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .debian .klag build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Needs uv. Keeps the pinned versions that still fit; `make lock LOCK_ARGS=--upgrade` takes newer ones.
lock:
	$(LOCK) $(LOCK_ARGS) requirements/runtime.in requirements/build.in -o requirements/runtime.txt
	$(LOCK) $(LOCK_ARGS) -c requirements/runtime.txt requirements/otel.in -o requirements/otel.txt
	$(LOCK) $(LOCK_ARGS) -c requirements/runtime.txt requirements/runtime.in requirements/build.in requirements/otel.in \
		requirements/dev.in -o requirements/dev.txt
	$(LOCK) $(LOCK_ARGS) -c requirements/dev.txt requirements/attack.in -o requirements/attack.txt
	$(LOCK) $(LOCK_ARGS) -c requirements/dev.txt requirements/kubernetes.in -o requirements/kubernetes.txt
	@! grep -nE 'https?://' requirements/*.txt || { echo "an address in a lock file" >&2; exit 1; }
