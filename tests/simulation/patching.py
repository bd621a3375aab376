"""Checks that mutants still fit the product, because a patch that changes nothing proves nothing."""

import asyncio
import inspect
import re

PROGRAMMING_ERRORS = re.compile(r"\b(AttributeError|ImportError|NameError|TypeError|UnboundLocalError)\b")
"""Exceptions of a mutant that calls something with another name or other arguments than the product has."""


def check_same_parameters(original, replacement):
    """Raise TypeError unless `replacement` can be called as `original` is.

    Both must be coroutine functions or neither, with as many positional parameters and the same keyword-only
    ones. A replacement with `*args` or `**kwargs` takes any arguments.
    """
    name = getattr(original, "__qualname__", repr(original))
    if asyncio.iscoroutinefunction(original) != asyncio.iscoroutinefunction(replacement):
        raise TypeError(f"{name}: only one of original and replacement is a coroutine function")
    expected, found = (
        list(inspect.signature(function).parameters.values()) for function in (original, replacement)
    )
    if any(each.kind in {each.VAR_POSITIONAL, each.VAR_KEYWORD} for each in found):
        return
    shapes = [
        (
            sum(each.kind is not each.KEYWORD_ONLY for each in parameters),
            {each.name for each in parameters if each.kind is each.KEYWORD_ONLY},
        )
        for parameters in (expected, found)
    ]
    if shapes[0] != shapes[1]:
        raise TypeError(
            f"{name}{inspect.signature(original)} is replaced by {inspect.signature(replacement)}"
        )


def check_genuine(mutant, findings):
    """Raise AssertionError if a finding comes from a mistake in the mutant itself."""
    for finding in findings:
        if PROGRAMMING_ERRORS.search(finding):
            raise AssertionError(f"the mutant {mutant} no longer fits the product: {finding}")
