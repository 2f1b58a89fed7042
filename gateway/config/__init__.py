"""cabinet.toml: read, checked as a whole, and turned into frozen values and a device schema."""
