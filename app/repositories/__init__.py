"""Queries, one file per noun. Every read starts from what the actor may see, and selects the columns it needs."""
