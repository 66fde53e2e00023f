"""Checks on `_target_`: which classes a config may instantiate, with which arguments of which types.

A config may be untrusted, and instantiating the classes it names executes code. Therefore, only names under allowed
prefixes are accepted, and never functions that load code or start processes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.declaration.signatures import Parameter, find_module, names_in, signature
from pipeline.errors import ConfigError, nearest

ALLOWED = (
    "pipeline.tasks.",
    "pipeline.transforms.",
    "torch.nn.",
    "torch.optim.",
    "torchmetrics.",
    "albumentations.",
    "pytorch_lightning.callbacks.",
)
MADE_BY_HYDRA = ("_target_", "_partial_", "_convert_", "_args_", "_recursive_")

# YAML types accepted for each annotation; annotations not listed here accept any value.
KINDS: dict[str, tuple[type, ...]] = {
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


def check_targets(section: Any, *, path: str, allowed: Sequence[str], given: frozenset[str]) -> None:
    """Check every `_target_` below a section of the config.

    Args:
        section: plain dicts, lists and values.
        path: config path of the section, e.g. `optimizer`.
        allowed: more prefixes than `ALLOWED`.
        given: parameters that the pipeline supplies, e.g. `params`, to the target of the section, or to the targets
            below it if the section has none.

    Raises:
        ConfigError: a target is not allowed or does not exist, a key is unknown or missing, or a value has the
            wrong type.
    """
    for where, node in _targets(section, path):
        target = node["_target_"]
        check_allowed(target, where=f"{where}._target_", allowed=allowed)
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


def check_modules(model: Any, *, allowed: Sequence[str]) -> None:
    """Check every `module:` of a network, which names a class like a `_target_`."""
    for where, target in _modules(model, "model"):
        check_allowed(target, where=f"{where}.module", allowed=allowed)


def check_allowed(target: Any, *, where: str, allowed: Sequence[str]) -> None:
    """Raise if a target is not under the allowed prefixes, or is only re-exported there.

    Names under the user's own prefixes may be defined at run time; all others must be found in source.
    """
    prefixes = (*ALLOWED, *allowed)
    if not isinstance(target, str) or not target.startswith(prefixes):
        raise _not_allowed(target, where, prefixes)
    if allowed and target.startswith(tuple(allowed)):
        return
    home = find_module(target)
    if home is None:
        module, _, name = target.rpartition(".")
        raise ConfigError(
            where,
            f"there is no {target}",
            got=target,
            hint=f"{nearest(name, names_in(module))}correct the name",
        )
    if not f"{home}.".startswith(prefixes):
        raise _not_allowed(f"{home}.{target.rsplit('.', 1)[-1]}", where, prefixes)


def _not_allowed(target: Any, where: str, prefixes: Sequence[str]) -> ConfigError:
    return ConfigError(
        where,
        "is not an allowed name",
        got=target,
        hint=f"allowed are names below {', '.join(prefixes)} and what the list allowed_targets adds",
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
        raise ConfigError(
            path,
            got=value,
            allowed=ast.unparse(parameter.annotation),
            hint=f"this is {type(value).__name__}; YAML writes true, 3, 0.1, text, [1, 2]",
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
    kinds = KINDS.get(name, (object,))
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
