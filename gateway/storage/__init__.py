"""The journal on Linux: files, group commits, sealing, retention, restarts, inspection."""
