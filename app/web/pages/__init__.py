"""One module for each noun; each has a `router`, a typed context for each page, and nothing else of a page."""
