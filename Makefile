# The commands a person needs. Each makes .venv from constraints.txt by itself.
.DEFAULT_GOAL := help
PEOPLE ?= 5000
BIN := .venv/bin

.PHONY: help demo up test lint types tests bench bench-smoke docs check-docs clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: ## the whole bus in one run: four agencies, five applications, a death, every exchange proven
	@./.ci/install
	@$(BIN)/lintas demo --people $(PEOPLE)

up: ## everything running until Ctrl-C
	@./.ci/install
	@$(BIN)/lintas up --practice --people $(PEOPLE)

test: ## lint, types, layers, tests, documentation and a benchmark that runs
	@./.ci/install tests bench docs
	@$(MAKE) --no-print-directory lint check-docs tests bench-smoke

lint: ## ruff, mypy (strict), import-linter
	@./.ci/install tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p foundation -p schemas -p participants -p audit -p consent -p connectors -p records -p verification -p web -p dags -p lintas -p sandbox
	$(BIN)/lint-imports

tests:
	$(BIN)/pytest -n 2 --dist loadgroup

bench: ## figures, each beside its baseline, with memory
	@./.ci/install tests bench
	$(BIN)/python -m benchmarks

bench-smoke:
	$(BIN)/python -m benchmarks --smoke

docs: ## builds the documentation into site/
	@./.ci/install docs
	$(BIN)/python -m docs.generate
	$(BIN)/mkdocs build --strict --quiet
	@echo "open site/index.html"

check-docs:
	$(BIN)/python -m docs.generate --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet --site-dir .mkdocs-check && rm -rf .mkdocs-check

clean: ## removes .venv and everything a run left
	rm -rf .venv .lintas site .mypy_cache .ruff_cache .pytest_cache
