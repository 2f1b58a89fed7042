"""One law, one pure function: numbers in, numbers out, units in the names."""
