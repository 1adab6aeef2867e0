"""Commands on finished runs: export, report, compare."""
