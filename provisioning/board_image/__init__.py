"""The flash image of a board: tree shaking, bundling, minifying, tables, file system."""
