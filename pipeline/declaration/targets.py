"""Checks on `_target_`: which classes a config may instantiate, with which arguments of which types.

A config may be untrusted, and instantiating the classes it names executes code. Therefore, each section accepts only
classes of one kind, such as optimizers: never functions, private names, or classes whose arguments are functions or
files.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.declaration.signatures import Parameter, find_module, is_class, names_in, signature
from pipeline.errors import ConfigError, nearest


@dataclass(frozen=True)
class Kind:
    """A kind of class that a section may name.

    Args:
        noun: what it is called in errors.
        homes: packages that define the classes, beside those of the user.
        bases: the class is one of these or derived from one; empty for any class. Names under the user's own prefixes
            may be defined at run time, so they are checked when they are built.
        unsafe: classes that do not belong into a declaration, and what they do.
    """

    noun: str
    homes: tuple[str, ...]
    bases: tuple[str, ...] = ()
    unsafe: Mapping[str, str] = field(default_factory=dict)


MODULE = "torch.nn.modules.module.Module"
OPENS_FILES = "opens the files that its arguments name"
KINDS = {
    "preprocess": Kind("a preprocessing", ("pipeline.transforms.preprocess.",), (MODULE,)),
    "step": Kind(
        "a transform of albumentations",
        ("albumentations.", "pipeline.transforms.steps."),
        (
            "albumentations.core.transforms_interface.BasicTransform",
            "albumentations.core.composition.BaseCompose",
        ),
        {
            "FDA": OPENS_FILES,
            "HistogramMatching": OPENS_FILES,
            "PixelDistributionAdaptation": OPENS_FILES,
            "TextImage": OPENS_FILES,
            "Lambda": "calls functions, which a declaration cannot name",
        },
    ),
    "mixing": Kind("a mixing", ("pipeline.transforms.mixing.",)),
    "task": Kind("a task", ("pipeline.tasks.",)),
    "optimizer": Kind("an optimizer", ("torch.optim.",), ("torch.optim.optimizer.Optimizer",)),
    "scheduler": Kind("a scheduler", ("torch.optim.",), ("torch.optim.lr_scheduler.LRScheduler",)),
    "module": Kind("a torch module", ("torch.nn.",), (MODULE,)),
}
MADE_BY_HYDRA = ("_target_", "_partial_", "_convert_", "_args_", "_recursive_")

# YAML types accepted for each annotation; annotations not listed here accept any value.
TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    "None": (type(None),),
    "list": (list,),
    "tuple": (list,),
    "Sequence": (list,),
    "dict": (dict,),
    "Mapping": (dict,),
    "Tensor": (),
    "Optimizer": (),
}
# How settings are written that are mappings.
EXAMPLES = {
    "data.split": "{val: 0.15, test: 0.15, seed: 0}, or folders",
    "data.fold": "{index: 0, of: 5}, or null",
    "data.columns": "{file: <column>, label: <column>}, or null",
    "data.mask_values": '{0: other, 255: cell} or {"#ff0000": car}, or null',
    "trainer.early_stopping": "{patience: 10, min_delta: 0.0}, or null",
    "trainer.average": "{ema: 0.999} or {swa: 5}, or null",
}


def check_targets(
    section: Any, *, path: str, kind: str, allowed: Sequence[str], given: frozenset[str] = frozenset()
) -> None:
    """Check every `_target_` at or below a section of the config.

    Args:
        section: plain dicts, lists and values.
        path: config path of the section, e.g. `optimizer`.
        kind: what the section names, a key of `KINDS`. Arguments of a step may name steps, all others torch modules.
        allowed: prefixes of the user's own classes, of any kind.
        given: parameters that the pipeline supplies, e.g. `params`, to the target of the section, or to the targets
            below it if the section has none.

    Raises:
        ConfigError: a target is not allowed or does not exist, a key is unknown or missing, or a value has the
            wrong type.
    """
    for where, node in _targets(section, path):
        target = node["_target_"]
        named = kind if where == path or kind == "step" else "module"
        check_allowed(target, where=f"{where}._target_", kind=named, allowed=allowed)
        is_given = where == path or "_target_" not in section
        _check_keys(node, target, where, given if is_given else frozenset())


def check_section(section: Any, schema: str, *, path: str) -> None:
    """Check a section without `_target_` against the constructor that takes its keys.

    Args:
        schema: dotted name of that constructor.
    """
    if not isinstance(section, Mapping):
        raise ConfigError(path, got=section, allowed="a mapping of keys")
    _check_keys(section, schema, path, frozenset())


def check_modules(section: Any, *, allowed: Sequence[str], path: str = "model") -> None:
    """Check every `module:` of the networks in a section, which names a class like a `_target_`."""
    for where, target in _modules(section, path):
        check_allowed(target, where=f"{where}.module", kind="module", allowed=allowed)


def check_allowed(target: Any, *, where: str, kind: str, allowed: Sequence[str]) -> None:
    """Raise if a target is not a public class of a kind, defined where that kind has its home.

    Names under the user's own prefixes may be defined at run time; all others must be found in source.
    """
    wanted, own = KINDS[kind], tuple(allowed)
    if not isinstance(target, str) or not target.startswith((*wanted.homes, *own)):
        raise _not_allowed(target, where, wanted, own)
    if any(part.startswith("_") for part in target.split(".")):
        raise ConfigError(
            where, "names something private", got=target, hint="name a public class of the library"
        )
    if own and target.startswith(own):
        return
    home, name = find_module(target), target.rsplit(".", 1)[-1]
    if home is None:
        module = target.rpartition(".")[0]
        raise ConfigError(
            where,
            f"there is no {target}",
            got=target,
            hint=f"{nearest(name, names_in(module))}correct the name",
        )
    if own and f"{home}.".startswith(own):
        return
    if not f"{home}.".startswith(wanted.homes):
        raise _not_allowed(f"{home}.{name}", where, wanted, own)
    if not is_class(target, wanted.bases):
        base = f"a class derived from {' or '.join(wanted.bases)}" if wanted.bases else "a class"
        raise ConfigError(where, f"is not {wanted.noun}", got=target, hint=f"name {base}")
    if name in wanted.unsafe:
        raise ConfigError(where, wanted.unsafe[name], got=target, hint=f"choose {wanted.noun} that does not")


def _not_allowed(target: Any, where: str, kind: Kind, own: Sequence[str]) -> ConfigError:
    return ConfigError(
        where,
        f"is not an allowed name of {kind.noun}",
        got=target,
        hint=f"allowed are names below {', '.join((*kind.homes, *own))} and what the list allowed_targets adds",
    )


def find_targets(config: Mapping[str, Any]) -> list[str]:
    """Return every `_target_` of a config and every `module` of its network, sorted."""
    modules = (str(target) for _, target in _modules(config.get("model"), "model"))
    return sorted({*(node["_target_"] for _, node in _targets(config, "")), *modules})


def _targets(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((where, each) for where, each in _mappings(node, path) if "_target_" in each)


def _modules(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the parts named `module`: mappings whose first key is that word."""
    return (
        (where, each["module"]) for where, each in _mappings(node, path) if next(iter(each), None) == "module"
    )


def _mappings(node: Any, path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every mapping at or below a node with its config path, the outer ones first."""
    if isinstance(node, Mapping):
        yield path, node
        for key, value in node.items():
            yield from _mappings(value, f"{path}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _mappings(value, f"{path}[{index}]")


def _check_keys(node: Mapping[str, Any], target: str, where: str, given: frozenset[str]) -> None:
    for key in MADE_BY_HYDRA[1:]:
        if key in node:
            raise ConfigError(f"{where}.{key}", "is set by the pipeline", hint="remove it")
    known = signature(target)
    if known is None:
        return
    parameters = {p.name: p for p in known.parameters if p.name not in given}
    for key, value in node.items():
        if key == "_target_":
            continue
        if key in parameters:
            _check_type(value, parameters[key], f"{where}.{key}")
        elif not known.is_open:
            what = f"option of {target.rpartition('.')[2]}"
            raise ConfigError.unknown(f"{where}.{key}", key, parameters, what=what)
    for name, parameter in parameters.items():
        if not parameter.has_default and name not in node:
            raise ConfigError(f"{where}.{name}", "is missing", hint=f"{target} needs it")


def _check_type(value: Any, parameter: Parameter, path: str) -> None:
    if parameter.annotation is not None and not _accepts(parameter.annotation, value):
        way = f"write {EXAMPLES[path]}" if path in EXAMPLES else "YAML writes true, 3, 0.1, text, [1, 2]"
        raise ConfigError(
            path,
            got=value,
            allowed=ast.unparse(parameter.annotation),
            hint=f"this is {type(value).__name__}; {way}",
        )


def _accepts(annotation: ast.expr, value: Any) -> bool:
    """Return whether a YAML value is valid for a parameter with this annotation."""
    if isinstance(value, Mapping) and "_target_" in value:
        return True
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.BinOp):
        return _accepts(annotation.left, value) or _accepts(annotation.right, value)
    if isinstance(annotation, ast.Constant):
        return value is annotation.value
    if isinstance(annotation, ast.Subscript):
        return _accepts_generic(annotation, value)
    name = ast.unparse(annotation).rsplit(".", 1)[-1]
    kinds = TYPES.get(name, (object,))
    return isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds or object in kinds)


def _accepts_generic(annotation: ast.Subscript, value: Any) -> bool:
    name = ast.unparse(annotation.value).rsplit(".", 1)[-1]
    inner = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
    if name == "Optional":
        return value is None or _accepts(inner[0], value)
    if name == "Union":
        return any(_accepts(each, value) for each in inner)
    if name == "Annotated":
        return _accepts(inner[0], value)
    if name == "Literal":
        constants = [each.value for each in inner if isinstance(each, ast.Constant)]
        return value in constants or len(constants) < len(inner)  # Literal[cv2.INTER_AREA] cannot be read
    return _accepts(annotation.value, value) and _accepts_elements(name, inner, value)


def _accepts_elements(name: str, inner: list[ast.expr], value: Any) -> bool:
    if name == "tuple" and ast.unparse(inner[-1]) != "...":
        return len(value) == len(inner) and all(map(_accepts, inner, value))
    if name in ("list", "tuple", "Sequence"):
        return all(_accepts(inner[0], each) for each in value)
    if name in ("dict", "Mapping"):
        return all(_accepts(inner[1], each) for each in value.values())
    return True
