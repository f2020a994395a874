"""Use cases: what changes something, one file per noun. Called by api, web and workers with an open session."""
