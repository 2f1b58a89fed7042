"""What the time is and how well it is known: NTP state, holdover, scaled clocks."""
