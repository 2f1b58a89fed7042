"""The cabinet without the cabinet: physics, devices, servers, the demo (docs/design.md, rooms)."""
