"""Asyncio helpers, the only shared floor of CPython rooms: waking, task groups, deadlines."""
