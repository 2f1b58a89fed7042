"""Reports: periods, meters, charts, HTML and the texts people read."""
