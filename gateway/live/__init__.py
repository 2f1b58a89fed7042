"""Figures of this moment, computed from the latest scans and never stored as evidence."""
