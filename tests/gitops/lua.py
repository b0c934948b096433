"""Runs Argo CD's Lua as Argo CD does: version 5.1, with the object as `obj`."""

from typing import Any

from lupa import lua51  # type: ignore[import-untyped] # it has no types

Object = dict[str, Any]


def run(code: str, body: Object) -> Any:
    """Return what the code returns for an object, as plain Python."""
    runtime = lua51.LuaRuntime(unpack_returned_tuples=True)
    runtime.globals()["obj"] = runtime.table_from(body, recursive=True)
    return _plain(runtime.execute(code))


def _plain(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    entries = {key: _plain(each) for key, each in value.items()}
    if entries and all(isinstance(key, int) for key in entries):
        return [entries[key] for key in sorted(entries)]
    return entries
