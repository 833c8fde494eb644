# make demo: both training stages on a synthetic data set. make lint, make test: the checks of a change.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready

.PHONY: demo test test-slow lint clean
.DEFAULT_GOAL := help
.PHONY: help
help:
	@echo "make demo       write a small data set, train both stages, evaluate (CPU or CUDA)"
	@echo "make test       run the tests; make test-slow: the ones that take minutes"
	@echo "make lint       check format (ruff), style (ruff) and types (mypy)"
	@echo "make clean      remove the environment $(VENV)"
	@echo "Another Python: make PYTHON=python3.12 ..."

# The environment: created once, and updated when the lists of packages change.
$(READY): requirements.txt requirements-extraction.txt requirements-onnx.txt tests/requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed, found $$($(PYTHON) --version); run make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check \
	  -r requirements.txt -r tests/requirements.txt -c constraints.txt
	@touch $@

DEMO := data/demo
RUN  := $(BIN)/python main_thu.py --data_dir $(DEMO) --num_snippets 128
SAVE := $(DEMO)/save

demo: $(READY)
	$(BIN)/python -m dataset.synthetic --output $(DEMO)
	$(RUN) --group baseline --model_name acmnet --epochs 30 --without_wandb
	$(RUN) --group ftcl --model_name ftcl --ftcl --checkpoint $(SAVE)/baseline/acmnet/THUMOS_latest.pth \
	  --epochs 4 --without_wandb
	$(RUN) --test --checkpoint $(SAVE)/ftcl/ftcl/THUMOS_latest.pth --report
	@echo "mAP in percent on the test videos for each stage, at the last epoch and at the best (chosen on these videos):"
	@$(BIN)/python -m record.summary ACM-Net=$(SAVE)/baseline/acmnet FTCL-Net=$(SAVE)/ftcl/ftcl
	@echo "(docs/RESULTS.md: how much of the gain is due to the contrastive losses and how much to longer training)"
	@echo "interactive report: $(SAVE)/ftcl/ftcl/THUMOS_latest_report/report.html"

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV)
