"""Portable floor: pure functions and values that run on CPython and MicroPython alike."""
