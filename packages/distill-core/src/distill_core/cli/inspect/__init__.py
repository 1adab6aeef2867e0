"""Commands that train nothing: check, show, list."""
