"""Commands around an experiment: new, schema, convert, doctor."""
