"""What Berth costs, beside the least that the same work can cost on the same machine; `python -m bench`.

Nothing in the application imports this package, and it runs without network and without anything outside
the repository but Python's own packages and a Postgres: Debian's, or the one of the embedded wheel.
"""
