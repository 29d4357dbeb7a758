"""Functions: their code, settings, environments and invocations."""
