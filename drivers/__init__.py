"""From bus bytes to readings: sans-io and portable, except links/ (docs/design.md, rooms)."""
