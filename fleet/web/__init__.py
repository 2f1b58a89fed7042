"""The page: server-rendered HTML with a little script of our own, nothing from elsewhere."""
