"""Just enough of PromQL's looks to find what an expression selects."""
import re

_SELECTOR = re.compile(r"\b((?:hmar|process)_\w+|up)\b(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_RECORDED = re.compile(r"\b\w+:\w+:\w+\b")


def recorded_in(expression):
    """The names of recording rules' series."""
    return set(_RECORDED.findall(expression))


def selectors_in(expression):
    """Series that must exist if the expression is to mean anything: one selector for every metric, and for every value that
    a label is held against, alternatives apart. A value that no series ever has would be silent for ever."""
    selectors = set()
    for name, matchers in _SELECTOR.findall(_RECORDED.sub("", expression)):
        selectors.add(name)
        for label, _, value in _MATCHER.findall(matchers or ""):
            if not value.startswith("$"):
                selectors.update(f'{name}{{{label}="{one}"}}' for one in value.split("|"))
    return selectors
