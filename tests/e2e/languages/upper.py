import wit_world
from componentize_py_types import Err, Ok
from wit_world.imports import types


class WitWorld(wit_world.WitWorld):
    """Large letters."""

    def apply(self, literals, rows):
        return [self.one(literals, list(row)) for row in rows]

    def one(self, literals, row):
        value, *_ = [row.pop(0) if literal is None else literal for literal in literals]
        if isinstance(value, types.Value_Text):
            return Ok(types.Value_Text(value.value.upper()))
        if isinstance(value, types.Value_Nothing):
            return Ok(value)
        return Err(types.Fault("text is expected"))
