"""What fits in one sitting: lengths of files and functions, which ruff does not count."""

from tests.house.source import fault, functions

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50
FOLDER_FILES_MAX = 15


def check_sizes(source):
    """Yield faults of length: file, function."""
    lines = source.text.count("\n")
    if lines > FILE_LINES_MAX:
        yield fault(source, 1, f"{lines} lines; the limit is {FILE_LINES_MAX}")
    for node in functions(source.tree):
        length = node.end_lineno - node.lineno + 1
        if length > FUNCTION_LINES_MAX:
            yield fault(source, node, f"{node.name} has {length} lines; limit {FUNCTION_LINES_MAX}")


def check_folders(found):
    """Yield a fault for each folder of product code with too many files; found: all Sources."""
    counts = {}
    for source in found:
        folder, _, name = source.path.rpartition("/")
        if source.room and name != "__init__.py":
            counts[folder] = counts.get(folder, 0) + 1
    for folder, count in sorted(counts.items()):
        if count > FOLDER_FILES_MAX:
            yield f"{folder}: {count} files; the limit is {FOLDER_FILES_MAX}"
