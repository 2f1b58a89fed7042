"""The gateway on a board: MicroPython's shell around gateway.core and drivers."""
