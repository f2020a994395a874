"""The database's history. A package, so that an installed wheel can migrate."""
