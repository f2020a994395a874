#!/bin/sh
# Makes .venv as requirements.lock says. Called by `make`; needs python3 with venv, and a package index.
# uv installs the set in seconds; where it has no wheel for this machine, pip does the same in a minute.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Berth needs Python 3.11 or later; $python is $("$python" -V 2>&1). Set PYTHON=python3.12, for example." >&2
  exit 1
}
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  rm -rf .venv
  "$python" -m venv .venv || {
    echo "The virtual environment could not be made. On Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
  }
fi

# uv is pinned in the lock like all else; its own lines there are enough to install it with its hashes.
awk '/^uv==/ {keep = 1; print; next} /^[^ ]/ {keep = 0} keep && !/#/ {print}' requirements.lock > .venv/uv.lock
# What pip was told about the index holds for uv too; uv does not read pip's settings.
told() { .venv/bin/python -m pip config get "$1" 2>/dev/null || true; }
index=${PIP_INDEX_URL:-$(told global.index-url)}
links=${PIP_FIND_LINKS:-$(told global.find-links)}
certificate=${PIP_CERT:-$(told global.cert)}
[ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
[ -z "$links" ] || export UV_FIND_LINKS="${UV_FIND_LINKS:-$links}"
[ -z "$certificate" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$certificate}"
# pip trusts the certificates of the system; uv does when told, and fails where there are none.
if [ -n "$(ls /etc/ssl/certs 2>/dev/null)" ]; then export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"; fi
export PIP_DISABLE_PIP_VERSION_CHECK=1 UV_NO_PROGRESS=1 VIRTUAL_ENV="$PWD/.venv"

echo "set-up: installing $(grep -c '^[a-z0-9].*==' requirements.lock) locked packages into .venv"
if .venv/bin/python -m pip install --quiet --require-hashes --only-binary :all: -r .venv/uv.lock &&
  .venv/bin/uv pip sync --quiet --require-hashes requirements.lock; then
  .venv/bin/uv pip install --quiet --no-deps --no-build-isolation --editable .
else
  echo "set-up: uv cannot be used here; pip does the same, which takes about a minute" >&2
  .venv/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
  .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
fi
touch .venv/.ready
