#!/bin/sh
# Writes requirements.lock anew: versions and hashes for every platform and Python that Berth supports, and
# no addresses. Versions already locked stay unless `deploy/lock.sh --upgrade` is called.
set -eu
cd "$(dirname "$0")/.."
.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
  --no-emit-index-url --no-emit-find-links --all-extras --group pyproject.toml:demo --group pyproject.toml:dev \
  --output-file requirements.lock "$@" pyproject.toml
# What the platform's image installs: the server's part of the same.
.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links --extra server --constraints requirements.lock \
  --output-file deploy/requirements.lock pyproject.toml
if grep -nE '://' requirements.lock deploy/requirements.lock; then
  echo "the lock file must hold no addresses" >&2
  exit 1
fi
echo "requirements.lock: $(grep -c '^[a-z0-9].*==' requirements.lock) packages"
