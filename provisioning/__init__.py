"""From a bare board to a trusted gateway: identity, enrolment, site files (docs/design.md)."""
