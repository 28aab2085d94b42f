# `make sweep` and `make test` each do all the set-up on a fresh machine; the second time nothing is installed again.
PYTHON ?= python3
ROOT ?= runs
VENV := .venv
RUN := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
# Peers of the benchmarks that cannot live beside us.
PEERS := .venv-peers
PEERS_INSTALLED := $(PEERS)/.installed
# Where it is set, each of the many processes would compile the whole package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: sweep test gallery lint ui chaos peers bench-pretrain bench-finetune bench-analysis bench-replication bench-controller

sweep: $(INSTALLED)
	$(RUN) -m sweeps run quickstart --root $(ROOT)

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(RUN) -m pytest

gallery: $(INSTALLED)
	$(RUN) -m sweeps run every_measure --preset smoke --root $(ROOT)
	$(RUN) -m sweeps gallery --root $(ROOT)

chaos: $(INSTALLED)
	OMP_NUM_THREADS=1 $(RUN) -m tests.chaos.kill

bench-replication: $(INSTALLED)
	OMP_NUM_THREADS=1 $(RUN) -m benchmarks.replication

bench-pretrain: $(INSTALLED) $(PEERS_INSTALLED)
	@failed=0; OMP_NUM_THREADS=1 $(PEERS)/bin/python -m benchmarks.lightly_losses || failed=1; \
	for part in losses views shared_data simclr; do \
		OMP_NUM_THREADS=1 $(RUN) -m benchmarks.$$part || failed=1; done; exit $$failed

bench-finetune: $(INSTALLED)
	OMP_NUM_THREADS=1 $(RUN) -m benchmarks.finetune

bench-analysis: $(INSTALLED) $(PEERS_INSTALLED)
	@failed=0; for part in surface progress inpca signals; do \
		OMP_NUM_THREADS=1 $(RUN) -m benchmarks.$$part || failed=1; done; \
	for part in curvature attack_curve; do \
		OMP_NUM_THREADS=1 $(PEERS)/bin/python -m benchmarks.$$part || failed=1; done; exit $$failed

bench-controller: $(INSTALLED)
	OMP_NUM_THREADS=1 $(RUN) -m benchmarks.controller
	OMP_NUM_THREADS=1 $(RUN) -m benchmarks.replication
	OMP_NUM_THREADS=1 $(RUN) -m benchmarks.one_root

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

ui: $(INSTALLED)
	$(VENV)/bin/mlflow ui --backend-store-uri sqlite:///$(abspath $(ROOT))/mlflow.db --host 127.0.0.1

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test,dev]'
	touch $@

peers: $(PEERS_INSTALLED)

$(PEERS_INSTALLED): benchmarks/peers.txt constraints.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --requirement benchmarks/peers.txt
	# torchattacks asks for a requests of 2021; it runs with a new one. PyHessian asks for nothing that is not there.
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps torchattacks==3.5.1 pyhessian==0.1
	touch $@
