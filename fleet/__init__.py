"""The receiving side: admission, evidence, reports, the page (docs/design.md, rooms)."""
