"""All of Berth on one machine: `berth up`, `berth demo`, `berth doctor` and `berth admin reset-password`.

The top of the house, beside `main`. The supervisor and the embedded servers import little, because they
stay in memory as long as Berth runs.
"""
