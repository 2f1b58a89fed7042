"""CPython transports: serial lines, TCP and HTTP, and profiles from TOML files."""
