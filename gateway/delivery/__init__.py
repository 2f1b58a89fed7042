"""The way to the fleet: MQTT over TLS, rate limits, the uplink's session, live messages."""
