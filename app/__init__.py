"""Berth's server: what is wanted lives in Postgres, and everything else converges towards it.

Layers, top to bottom, are stated as contracts in `.importlinter`; `docs/architecture.md` explains them.
"""
