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


def fresh(factory: Callable[[], T]) -> T:
    """Return a default that calls ``factory`` for every new record: for values that can change."""
    name = f"_make_{id(factory)}"
    return _DerivedDefault(f"{name}()", {name: factory})  # type: ignore[return-value]  # the metaclass replaces it


def _refuse_set(self: Record, name: str, _value: object) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be set, use replace()")


def _refuse_delete(self: Record, name: str) -> NoReturn:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be deleted")


class RecordMeta(type):
    """Creates the slots and ``__new__`` of a class from its annotations."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, object], *, kw_only: bool = False
    ) -> RecordMeta:
        """Create the class and its draft class. A class without annotations only adds methods.

        With ``kw_only`` the fields of this class must be given by name. It may have one base with fields.
        """
        annotations = namespace.get("__annotations__")
        own = tuple(annotations) if isinstance(annotations, dict) else ()
        positional = () if kw_only else own
        if "_" in own:  # the mark `_: KW_ONLY`, as in dataclasses
            positional = own[: own.index("_")]
            own = tuple(field for field in own if field != "_")
        defaults = {field: namespace.pop(field) for field in own if field in namespace}
        namespace["__slots__"] = own
        if not own:
            return super().__new__(mcs, name, bases, namespace)
        inherited: _Constructor | None = getattr(bases[0], "_constructor", None)
        writable = {"__new__": object.__new__, "__setattr__": object.__setattr__} if inherited else {}
        draft = type.__new__(mcs, name, bases, {"__slots__": own, **writable})
        constructor = _Constructor(inherited, own, positional, defaults, draft)
        if "__post_init__" in namespace:
            constructor.end = " self.__post_init__()"
        fields = constructor.fields
        namespace["__match_args__"] = constructor.positional
        namespace["__setattr__"] = _refuse_set
        namespace["__delattr__"] = _refuse_delete
        namespace["_values"] = staticmethod(attrgetter(*fields, fields[0]))  # one name would give no tuple
        namespace["_constructor"] = constructor
        namespace["__new__"] = constructor.create_first
        constructor.record = super().__new__(mcs, name, bases, namespace)
        return constructor.record


class _Constructor:
    """Generates the functions that create records of one class, when the first record is created.

    Compiling ``__new__`` takes ten times as long as the rest of the class. A program uses few of the classes
    that it imports at once, and many never.
    """

    __slots__ = ("_scope", "defaults", "end", "fields", "positional", "record")

    def __init__(
        self,
        inherited: _Constructor | None,
        own: tuple[str, ...],
        positional: tuple[str, ...],
        defaults: dict[str, object],
        draft: type,
    ) -> None:
        self.record: type = draft
        """The class, as soon as it exists."""
        self.end = ""
        """The line that follows when all fields are set."""
        self.fields: tuple[str, ...] = own if inherited is None else inherited.fields + own
        self.positional: tuple[str, ...] = (
            positional if inherited is None else inherited.positional + positional
        )
        """The fields that may be given by position; the others must be given by name."""
        self.defaults: dict[str, object] = defaults if inherited is None else inherited.defaults | defaults
        self._scope: dict[str, object] = {"_draft": draft, "_underived": object()}

    @property
    def required(self) -> list[str]:
        """The fields without a default."""
        return [field for field in self.fields if field not in self.defaults]

    def create_first(self, *args: object, **kwargs: object) -> object:
        """Replace ``__new__`` by the compiled one, and call it."""
        new = self.compile("__new__(cls, ", "cls")
        self.record.__new__ = staticmethod(new)  # type: ignore[assignment]  # what a class body does
        return new(*args, **kwargs)

    def compile(self, head: str, cls: str) -> Callable[..., object]:
        """Return a function with this head; it creates records of the class that it knows as ``cls``."""
        scope = {**self._scope, "_record": self.record}
        by_name = [field for field in self.fields if field not in self.positional]
        arguments = []
        lines = []
        for field in (*self.positional, *(["*"] if by_name else []), *by_name):
            if field not in self.defaults:
                arguments.append(field)
                continue
            default = self.defaults[field]
            if isinstance(default, _DerivedDefault):
                arguments.append(f"{field}=_underived")
                lines.append(f" if {field} is _underived: {field} = {default.expression}")
                scope |= default.names
            else:
                scope[f"_default_{field}"] = default
                arguments.append(f"{field}=_default_{field}")
        lines += [" self = _draft()", *(f" self.{field} = {field}" for field in self.fields)]
        lines += [f" self.__class__ = {cls}", self.end, " return self"]
        source = "\n".join([f"def {head}{', '.join(arguments)}):", *lines])
        exec(source, scope)  # noqa: S102  # source generated from the class body
        return scope[head.partition("(")[0]]  # type: ignore[return-value]  # untyped exec


def fast_constructor(record: Callable[P, T]) -> Callable[P, T]:
    """Return a function that creates records like the class itself, in two thirds of the time."""
    constructor: _Constructor = record._constructor  # type: ignore[attr-defined]  # noqa: SLF001
    make: Callable[P, T] = constructor.compile("make(", "_record")  # type: ignore[assignment]  # untyped exec
    return make


def field_names(record: type[Record]) -> tuple[str, ...]:
    """Return the names of all fields, in their order."""
    constructor: _Constructor | None = record._constructor  # noqa: SLF001  # written by the metaclass
    return constructor.fields if constructor else ()


def field_defaults(record: type[Record]) -> dict[str, object]:
    """Return the defaults that are the same for every record, by the names of the fields."""
    constructor: _Constructor | None = record._constructor  # noqa: SLF001  # written by the metaclass
    found = constructor.defaults if constructor else {}
    return {name: value for name, value in found.items() if not isinstance(value, _DerivedDefault)}


def required_fields(record: type[Record]) -> list[str]:
    """Return the names of the fields that have no default."""
    constructor: _Constructor | None = record._constructor  # noqa: SLF001  # written by the metaclass
    return constructor.required if constructor else []


@dataclass_transform(frozen_default=True)
class Record(metaclass=RecordMeta):
    """Base of frozen types: annotations are fields; equality, hash and repr use their values."""

    if TYPE_CHECKING:
        __match_args__: ClassVar[tuple[str, ...]]
        _constructor: ClassVar[_Constructor | None]

        @staticmethod
        def _values(record: Record, /) -> tuple[object, ...]: ...

    else:
        __match_args__ = ()
        _constructor = None  # of a record without fields

        @staticmethod
        def _values(_record: Record) -> tuple[object, ...]:
            return ()

    def __eq__(self, other: object) -> bool:
        if other.__class__ is self.__class__ and isinstance(other, Record):
            return self._values(self) == self._values(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._values(self))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items())
        return f"{type(self).__name__}({values})"

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[type[Self], dict[str, object]]]:
        return _create, (type(self), self.as_dict())

    def as_dict(self) -> dict[str, object]:
        """Return the values by the names of the fields."""
        return dict(zip(field_names(type(self)), self._values(self), strict=False))

    def replace(self, **changes: object) -> Self:
        """Return a copy with some fields changed."""
        return type(self)(**(self.as_dict() | changes))

    __replace__ = replace  # copy.replace of Python 3.13


def _create(record: type[T], values: dict[str, object]) -> T:
    """Create a record that was pickled or copied."""
    return record(**values)
