"""What an operator sees of a running gateway: status, health, the journal's command line."""
