"""The process in the cabinet: polls, keeps, sends and shows (docs/design.md, rooms)."""
