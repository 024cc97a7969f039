# What people type. Every target makes the virtual environment it needs first.
VENV ?= .venv
FUZZ_SECONDS ?= 60
KERNELS ?= uml lean
STAMP := $(VENV)/.installed

.PHONY: help
help:
	@echo 'make fuzz      fuzz this kernel for $(FUZZ_SECONDS) s, then find a planted fault'
	@echo 'make test      the tests of madvet itself'
	@echo 'make bench     speed: every figure beside what is required of it'
	@echo 'make bench-guests  the same of guests; their kernels must be built'
	@echo 'make lint      format, types, import contracts, tidy'
	@echo 'make kernels   kernels with madvise_ranges() for guests: $(KERNELS)'
	@echo 'make compiled  native code for the model (make fuzz does it where it can)'
	@echo 'make clean     remove the environment and the caches in this folder'

$(STAMP): pyproject.toml ci/jobs/make_venv.sh
	@ci/jobs/make_venv.sh $(VENV)
	@touch $@

.PHONY: venv
venv: $(STAMP)

.PHONY: compiled
compiled: $(STAMP)
	@$(VENV)/bin/python -m ci.compiled

# Native code is speed only: without Python's headers the campaign runs in plain Python.
.PHONY: fuzz
fuzz: $(STAMP)
	@$(VENV)/bin/python -m ci.compiled --if-possible
	$(VENV)/bin/madvet fuzz --target host,shim --time $(FUZZ_SECONDS)
	@echo
	@echo '--- a fault planted on purpose: found, shrunk, replayed ---'
	$(VENV)/bin/madvet mutants --demo

.PHONY: kernels
kernels: $(STAMP)
	$(VENV)/bin/madvet kernels build $(KERNELS) --install

.PHONY: test
test: $(STAMP)
	$(VENV)/bin/python -m pytest -n auto $(ARGS)

.PHONY: bench
bench: $(STAMP)
	@$(VENV)/bin/python -m ci.compiled --if-possible
	$(VENV)/bin/python -m ci.bench $(ARGS)

.PHONY: bench-guests
bench-guests: $(STAMP)
	@$(VENV)/bin/python -m ci.compiled --if-possible
	$(VENV)/bin/python -m ci.bench --guests $(ARGS)

.PHONY: lint
lint: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/python -m ci.tidy

.PHONY: clean
clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
