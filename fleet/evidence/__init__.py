"""Evidence bundles for auditors, and time stamps of the log's head."""
