"""The fleet's authority: its keys, who may join, certificates, and what it tells cabinets."""
