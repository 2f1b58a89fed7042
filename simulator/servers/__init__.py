"""How the wire moves: Modbus RTU and TCP, Pylontech, metrics over HTTP."""
