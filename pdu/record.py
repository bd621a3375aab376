"""Frozen types with slots that are faster to create than frozen dataclasses.

A decoded message consists of five objects. A frozen dataclass sets each field by ``object.__setattr__``, and
importing ``dataclasses`` and creating 25 of them takes longer than importing the rest of the codec (README.md
has the figures). The metaclass below does what ``@dataclass(frozen=True, slots=True)`` does, with two
differences. ``__new__`` fills a *draft*, an instance of a writable class with the same slots, and makes it an
instance of the frozen class by one assignment to ``__class__``. And a default can be ``derived`` from the
fields before it.
"""

from __future__ import annotations

from operator import attrgetter

TYPE_CHECKING = False  # importing typing would take a third of the import time of the codec
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar, NoReturn, ParamSpec, Self, TypeVar, dataclass_transform

    P = ParamSpec("P")
    T = TypeVar("T")
else:

    def dataclass_transform(*, frozen_default: bool) -> object:  # noqa: ARG001  # for type checkers only
        return lambda cls: cls


class _DerivedDefault:
    """The default of a field that is computed from fields before it."""

    __slots__ = ("expression", "names")

    def __init__(self, expression: str, names: dict[str, object]) -> None:
        self.expression = expression
        self.names = names


def derived(expression: str, kind: type[T], **names: object) -> T:  # noqa: ARG001  # kind is for type checkers
    """Return a default that evaluates ``expression`` with the fields before it and with ``names``."""
    return _DerivedDefault(expression, names)  # type: ignore[return-value]  # the metaclass replaces it


def _refuse_set(self: Record, name: str, _value: object) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set, use replace()")


def _refuse_delete(self: Record, name: str) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")


class RecordMeta(type):
    """Creates the slots and ``__new__`` of a class from its annotations."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, object]) -> RecordMeta:
        """Create the class and its draft class. A class without annotations only adds methods."""
        annotations = namespace.get("__annotations__")
        fields = tuple(annotations) if isinstance(annotations, dict) else ()
        defaults = {field: namespace.pop(field) for field in fields if field in namespace}
        namespace["__slots__"] = fields
        if not fields:
            return super().__new__(mcs, name, bases, namespace)
        draft = type.__new__(mcs, name, bases, {"__slots__": fields})
        namespace["__match_args__"] = fields
        namespace["__setattr__"] = _refuse_set
        namespace["__delattr__"] = _refuse_delete
        namespace["_values"] = staticmethod(attrgetter(*fields, fields[0]))  # one name would give no tuple
        source = _ConstructorSource(fields, defaults, draft)
        namespace["__new__"] = source.compile("__new__(cls, ", "cls")
        namespace["_constructor_source"] = source
        return super().__new__(mcs, name, bases, namespace)


class _ConstructorSource:
    """Generates the functions that create records of one class."""

    __slots__ = ("_arguments", "_lines", "_scope")

    def __init__(self, fields: tuple[str, ...], defaults: dict[str, object], draft: type) -> None:
        self._scope: dict[str, object] = {"_draft": draft, "_underived": object()}
        self._arguments: list[str] = []
        self._lines: list[str] = []
        for field in fields:
            default = defaults.get(field, _DerivedDefault)
            if default is _DerivedDefault:
                self._arguments.append(field)
            elif isinstance(default, _DerivedDefault):
                self._arguments.append(f"{field}=_underived")
                self._lines.append(f" if {field} is _underived: {field} = {default.expression}")
                self._scope |= default.names
            else:
                self._scope[f"_{field}"] = default
                self._arguments.append(f"{field}=_{field}")
        self._lines += [" self = _draft()", *(f" self.{field} = {field}" for field in fields)]

    def compile(self, head: str, cls: str, record: type | None = None) -> object:
        """Return a function with this head; it creates records of the class that it knows as ``cls``."""
        end = [f" self.__class__ = {cls}", " return self"]
        source = "\n".join([f"def {head}{', '.join(self._arguments)}):", *self._lines, *end])
        scope = {**self._scope, "_record": record}
        exec(source, scope)  # noqa: S102  # source generated from the class body
        return scope[head.partition("(")[0]]


def fast_constructor(record: Callable[P, T]) -> Callable[P, T]:
    """Return a function that creates records like the class itself, in two thirds of the time."""
    source: _ConstructorSource = record._constructor_source  # type: ignore[attr-defined]  # noqa: SLF001
    assert isinstance(record, type)  # noqa: S101  # type checkers see a callable
    make: Callable[P, T] = source.compile("make(", "_record", record)  # type: ignore[assignment]  # untyped exec
    return make


@dataclass_transform(frozen_default=True)
class Record(metaclass=RecordMeta):
    """Base of frozen types: annotations are fields; equality, hash and repr use their values."""

    if TYPE_CHECKING:
        __match_args__: ClassVar[tuple[str, ...]]

        @staticmethod
        def _values(record: Record, /) -> tuple[object, ...]: ...

    def __eq__(self, other: object) -> bool:
        if other.__class__ is self.__class__ and isinstance(other, Record):
            return self._values(self) == self._values(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._values(self))

    def __repr__(self) -> str:
        values = zip(self.__match_args__, self._values(self), strict=False)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in values)})"

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), self._values(self)[:-1]

    def replace(self, **changes: object) -> Self:
        """Return a copy with some fields changed."""
        values = dict(zip(self.__match_args__, self._values(self), strict=False))
        return type(self)(**(values | changes))

    __replace__ = replace  # copy.replace of Python 3.13
