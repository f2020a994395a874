"""The JSON transport: parses, calls a service or a repository, answers. Nothing is decided here."""
