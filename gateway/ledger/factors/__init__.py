"""Grid and fuel emission factors, their data and the local time they are read in."""
