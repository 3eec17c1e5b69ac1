# `make serve` runs it, `make test` and `make check` prove it. Needs Python >= 3.11 with venv, and make.

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

# What `check` runs under: the settings of a production behind TLS, with secrets of the moment.
AS_IN_PRODUCTION = HTTPS=true DEBUG=false USAGE_FLUSHER=false DJANGO_SETTINGS_MODULE=config.settings \
	SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(64))') \
	TOKEN_PEPPERS=1:$$($(BIN)/python -c 'import secrets; print(secrets.token_hex(32))')

.PHONY: serve test check api bench lock

serve: .venv/production
	@exec $(BIN)/python -m config.serve

test: .venv/development
	$(BIN)/pytest -n auto

check: .venv/development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	@echo "manage.py makemigrations --check"; $(AS_IN_PRODUCTION) $(BIN)/python manage.py makemigrations --check
	@echo "manage.py check --deploy"; $(AS_IN_PRODUCTION) $(BIN)/python manage.py check --deploy --fail-level WARNING
	@echo "schema.graphql is the schema"; $(AS_IN_PRODUCTION) $(BIN)/python manage.py export_schema config.schema:schema | diff - schema.graphql

# Needs a server that runs on this database.
api: .venv/production
	@$(BIN)/python manage.py createdemo --json | $(BIN)/python -m docs.replay --url http://127.0.0.1:$${PORT:-8000}

bench: .venv/development
	$(BIN)/python -m tests.bench

# The lock files hold versions and hashes, and name no registry.
lock: .venv/development
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --group dev pyproject.toml -o requirements-dev.lock
	! grep -n '://' requirements.lock requirements-dev.lock

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tollgate needs Python 3.11 or newer; name it with PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "On Debian: apt-get install python3-venv"; exit 1; }

# Stamps: newer than the lock means installed.
.venv/production: requirements.lock | $(BIN)/python
	$(INSTALL) -r requirements.lock
	@touch $@

.venv/development: requirements-dev.lock | $(BIN)/python
	$(INSTALL) -r requirements-dev.lock
	@touch $@
