"""The target of a token that no loss and no metric counts."""

IGNORED = -100
