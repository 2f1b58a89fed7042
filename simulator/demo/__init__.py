"""The demo: all rooms as separate processes, driven through an outage and a kill, and checked."""
