"""The fault experiments: real processes, broken on purpose, and counted by somebody who does not ask Berth.

`python -m tests.chaos [F1 F2 ...] [--full|--short]` prints a row for each; docs/reliability.md has the results.
"""
