"""The typed record of all engines: the only engine module that imports its siblings."""

from dataclasses import dataclass

from .functions.engine import FunctionsEngine
from .identity.engine import IdentityEngine
from .objects.engine import ObjectsEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Made once by app.py, handed to every operation. (Each engine is added here when it exists.)"""

    identity: IdentityEngine
    objects: ObjectsEngine
    functions: FunctionsEngine
