"""From a bare board to a trusted gateway: keys, certificates, cabinet.toml, enrolment."""
