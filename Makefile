# Everything is set up in .venv from the versions in lock.txt.
#   make demo    train a small policy twice, recorded; ends with what a person wants to see
#   make test    the whole test suite
#   make check   style, types, and who may import whom
#   make bench   what recording costs, beside others
PYTHON ?= python3
VENV ?= .venv
EXTRAS_dev := dev
EXTRAS_train := train,wandb
BIN := $(VENV)/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test check bench sample clean

demo: $(VENV)/train.installed
	$(BIN)/rlvr demo $(DEMO)

test: $(VENV)/dev.installed
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

check: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/dev.installed
	$(BIN)/python benchmarks/recording.py
	$(BIN)/python benchmarks/training_overhead.py

# The two recordings that ship with the package, made anew by the demo.
sample: $(VENV)/train.installed
	$(BIN)/python scripts/make_sample.py

$(VENV)/%.installed: pyproject.toml lock.txt
	@echo "Installing the locked dependencies into $(VENV) (some minutes the first time)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint lock.txt \
		--editable ".[$(EXTRAS_$*)]"
	@touch $@

clean:
	rm -rf $(VENV) build dist outputs
