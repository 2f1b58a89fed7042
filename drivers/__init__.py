"""From bus bytes to readings: pure protocols and device profiles; transports are in links/."""
