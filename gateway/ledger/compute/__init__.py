"""Core-hours, workloads and the key figures of a site's computing."""
