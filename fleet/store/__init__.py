"""The fleet's database: one writer, readers, incidents."""
