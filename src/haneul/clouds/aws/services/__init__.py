"""The services that haneul offers: one module each, imported when the first request for it arrives."""

import importlib
import keyword
from pathlib import Path

from haneul.clouds.aws.call import Service

PACKAGE = "haneul.clouds.aws.services"


class Services:
    """Services by the names of botocore's data folders. A module offers its service as `SERVICE`."""

    def __init__(self) -> None:
        self._loaded: dict[str, Service] = {}
        self._modules = {service_name(entry.stem): entry.stem for entry in _entries()}

    def names(self) -> list[str]:
        return sorted(self._modules)

    def get(self, name: str) -> Service | None:
        """The service, or None when haneul does not offer it."""
        service = self._loaded.get(name)
        if service is None and (module := self._modules.get(name)) is not None:
            loaded: Service = importlib.import_module(f"{PACKAGE}.{module}").SERVICE
            service = self._loaded[name] = loaded
        return service


def module_name(service: str) -> str:
    """The module of a service: "cognito-idp" is cognito_idp, "lambda" is lambda_."""
    name = service.replace("-", "_")
    return f"{name}_" if keyword.iskeyword(name) else name


def service_name(module: str) -> str:
    return module.rstrip("_").replace("_", "-")


def _entries() -> list[Path]:
    """Modules and packages beside this file."""
    return [
        entry
        for entry in Path(__file__).parent.iterdir()
        if not entry.name.startswith(("_", ".")) and (entry.suffix == ".py" or (entry / "__init__.py").is_file())
    ]
