# Everything runs from a virtual environment that the first target makes, on a machine with Python >= 3.11, make and git.

PYTHON ?= python3
VENV := .venv
PY := PYTHONPATH=operator:. $(VENV)/bin/python
LOCKED := $(VENV)/locked
# Each runs a world of its own; they wait more than they work.
TEST_WORKERS ?= 2
# The simulator that `make aws` starts; port 0 takes a free one.
AWS_PORT ?= 0
AWS_SPEED ?= 60

.DEFAULT_GOAL := help
.PHONY: help demo scenario diagnose up down world-% aws controlplane test test-unit test-faults test-ha test-fuzz test-gitops test-image test-fidelity lint type crds docs pictures verify bench image lock audit clean

help: ## show this
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: controlplane ## play three incidents to their ends on a real control plane and a simulated AWS
	@$(PY) -m tests.world demo

scenario: controlplane ## NAME=15 or NAME=pause-hook: play a failure of tests/scenarios and watch; without a name, list them
	@$(PY) -m tests.scenarios $(NAME)

up: controlplane ## start the same world and leave it running, to play with
	@$(PY) -m tests.world up

down: $(LOCKED) ## stop that world and remove it
	@$(PY) -m tests.world down

world-%: $(LOCKED) ## surge, calm, bad-revision, approve: let something happen in that world
	@$(PY) -m tests.world $*

diagnose: $(LOCKED) ## CASE=file.json: say what is wrong, from facts in a file (docs/diagnosis.md)
	@$(PY) -m bokgu diagnose --pretty $(CASE)

aws: $(LOCKED) ## start the AWS simulator alone, for any AWS client; AWS_PORT and AWS_SPEED (simulated seconds a second)
	@$(PY) -m tests.simulator --port $(AWS_PORT) --speed $(AWS_SPEED) --demo

test: controlplane helm ## run all tests on the real control plane and the simulator
	@$(PY) -m pytest -n $(TEST_WORKERS) --dist loadfile

test-unit: $(LOCKED) ## run the tests of the pure core, which need nothing else
	@$(PY) -m pytest tests/unit

test-faults: controlplane ## kill the operator at every write and let everything fail once (docs/faults.md); about an hour on 2 cores
	@BOKGU_TEST_FAULTS=1 $(PY) -m pytest -n $(TEST_WORKERS) --dist worksteal tests/faults tests/unit/test_execution_histories.py --timeout 3600

test-ha: controlplane ## kill, stop and replace leaders at every write, and move services between shards; about half an hour
	@BOKGU_TEST_HA=1 $(PY) -m pytest tests/ha tests/unit/test_lease.py tests/unit/test_sharding.py tests/unit/test_sending.py

test-fuzz: controlplane ## input that nobody has thought of, through the API server and all doors (docs/fuzzing.md); about 20 minutes
	@BOKGU_TEST_FUZZ=1 $(PY) -m pytest -n $(TEST_WORKERS) --dist loadfile tests/fuzz --timeout 7200

test-gitops: controlplane ## run Flux's kustomize-controller on what docs/gitops.md shows; builds it once, about 4 minutes
	@$(PY) -m tests.gitops >/dev/null
	@BOKGU_TEST_GITOPS=1 $(PY) -m pytest tests/gitops

test-image: controlplane image ## build the image, and let the operator in it recover a service, with crun (docs/install.md)
	@BOKGU_TEST_IMAGE=dist/bokgu.tar $(PY) -m pytest tests/image

test-fidelity: $(LOCKED) ## BOKGU_TEST_DYNAMODB=http://127.0.0.1:8000: test the history's tables on a DynamoDB Local of your own
	@BOKGU_TEST_FIDELITY=1 BOKGU_TEST_DYNAMODB=$(BOKGU_TEST_DYNAMODB) $(PY) -m pytest tests/integration/test_history_tables.py

lint: $(LOCKED) ## ruff, hadolint and import-linter
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/hadolint Dockerfile
	@PYTHONPATH=operator $(VENV)/bin/lint-imports --no-logo 2>/dev/null || PYTHONPATH=operator $(VENV)/bin/lint-imports

type: $(LOCKED) ## mypy --strict
	@$(VENV)/bin/mypy

crds: $(LOCKED) ## write crds/ from the models, and the chart's copy
	@$(PY) -m bokgu crds --out crds
	@$(PY) -m bokgu crds --out charts/bokgu/files/crds

.PHONY: helm deploy
deploy: helm ## write deploy/ and the chart's snapshots, as Helm renders them
	@$(PY) -m tests.chart deploy

docs: $(LOCKED) ## write docs/reference.md, the chart's values.yaml, and the tables of other pages, from the code
	@$(PY) -m tests.state_machine_page
	@$(PY) -m tests.gates_page
	@$(PY) -m tests.metrics_page
	@$(PY) -m tests.reference_page
	@$(PY) -m tests.iam_page
	@$(PY) -m tests.values_page

pictures: controlplane ## make the pictures that the README shows
	@$(PY) -m tests.world demo --pictures docs/pictures

verify: lint type ## lint and type, then the generated CRDs; make test checks all other generated files
	@$(PY) -m bokgu crds --out $(VENV)/crds >/dev/null
	@for folder in crds charts/bokgu/files/crds; do \
		diff -ru $$folder $(VENV)/crds || { echo "$$folder differs from the models: run make crds and commit"; exit 1; }; done
	@echo verified

bench: controlplane ## measure speed and size beside yardsticks, in half an hour; BENCH="--quick", BENCH="--only burst"
	@$(PY) -m tests.bench $(BENCH)

image: $(LOCKED) ## build the operator's image without Docker, into dist/bokgu.tar (OCI archive); root, buildah and mmdebstrap
	@$(PY) -m tests.image dist/bokgu.tar

lock: $(LOCKED) ## resolve requirements.lock and image/runtime.lock anew (needs uv); hashes, no addresses
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --extra dev --quiet pyproject.toml --output-file requirements.lock
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
		--no-header --constraints requirements.lock --quiet pyproject.toml --output-file image/runtime.lock

audit: $(LOCKED) ## ask databases of vulnerabilities about requirements.lock (needs pip-audit); AUDIT=--accept-unknown where none is at hand
	@$(PY) -m tests.audit $(AUDIT)

controlplane: $(LOCKED)
	@$(PY) -m tests.controlplane build >/dev/null

helm: controlplane
	@$(PY) -m tests.chart build >/dev/null

clean: ## remove the virtual environment; caches outside this folder stay
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "virtual environment: $(VENV), from requirements.lock"
	@$(VENV)/bin/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
		{ echo 'python3 -m venv failed: install the venv module of your Python (Debian: python3-venv)'; exit 1; }
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $(LOCKED)
