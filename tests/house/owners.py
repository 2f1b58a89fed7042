"""An object owns one thing: at most so many attributes, counted where `self.` is assigned.

An attribute that holds a dict of named counts is one in here; a bag of fields that nobody but
its holder changes is for the reader to refuse.
"""

import ast

from tests.house.source import fault

ATTRIBUTES_MAX = 12
# Class -> the issue that will split it.
EXCEPTIONS = {"SerialLink": 10, "RegisterDriver": 10}


def check_attributes(source):
    """Yield a fault for each class of product code that assigns too many attributes."""
    if not source.room:
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.ClassDef) or node.name in EXCEPTIONS:
            continue
        names = attributes(node)
        if len(names) > ATTRIBUTES_MAX:
            yield fault(source, node, f"{node.name} owns {len(names)} attributes; the limit is "
                                      f"{ATTRIBUTES_MAX}: split it ({', '.join(sorted(names))})")


def attributes(node):
    """Return the names that the methods of a class assign on self."""
    return {target.attr for target in ast.walk(node)
            if isinstance(target, ast.Attribute) and isinstance(target.ctx, ast.Store)
            and isinstance(target.value, ast.Name) and target.value.id == "self"}
