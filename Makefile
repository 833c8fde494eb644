# make demo: the main job on a built-in data set.  make test, make lint: what must pass.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready

.PHONY: demo test test-slow lint clean
.DEFAULT_GOAL := help
.PHONY: help
help:
	@echo "make demo       writes a small data set, trains, evaluates (CPU or CUDA)"
	@echo "make test       the tests; make test-slow: those that take minutes"
	@echo "make lint       ruff format and check, mypy"
	@echo "make clean      removes the environment $(VENV)"

# The environment: made once, again only when the lists of packages change.
$(READY): requirements.txt tests/requirements.txt constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Python 3.10 or newer is needed, found: $$($(PYTHON) --version); say make PYTHON=python3.11 ..."; exit 1; }
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
	@echo "mAP in percent on the test videos, of each stage: last epoch, and best epoch (chosen on these videos):"
	@$(BIN)/python -m eval.summary ACM-Net=$(SAVE)/baseline/acmnet FTCL-Net=$(SAVE)/ftcl/ftcl
	@echo "(how much of the difference is the contrasts and how much more training: docs/RESULTS.md)"
	@echo "pictures of what was found: $(SAVE)/ftcl/ftcl/THUMOS_latest_report/report.html"

test: $(READY)
	$(BIN)/python -m pytest

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV)
