# `make demo` and `make test` do everything on a fresh machine: environment, installation, run.
PYTHON ?= python3
BIN := .venv/bin
TYPED := --jaxtyping-packages=labelnoise,beartype.beartype

# The CIFAR ones take hours a run: make reproduce-check REPRODUCTIONS=cifar10-10k
REPRODUCTIONS := digits clinc150 fashion-mnist-mlp q-sweep convergence/clinc150 convergence/fashion-mnist

.PHONY: demo test check reproduce-check format docs clean

demo: .venv/ready
	$(BIN)/labelnoise demo

# torch.compile does not go together with run-time shape checks, so what compiles has a call of its own.
test: .venv/ready
	$(BIN)/python -m pytest $(TYPED) --numprocesses=auto --dist=loadfile --ignore=tests/compile
	$(BIN)/python -m pytest tests/compile

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --doctest-modules src/labelnoise README.md docs
	$(BIN)/sphinx-build -q -W -E docs docs/_build
	$(MAKE) test

# One random run of each recorded study again; LABELNOISE_DATA says where the data lie.
reproduce-check: .venv/ready
	set -e; for name in $(REPRODUCTIONS); do $(BIN)/labelnoise study check reproductions/$$name; done

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/ready
	$(BIN)/sphinx-build -W docs docs/_build

clean:
	rm -rf .venv docs/_build

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@
