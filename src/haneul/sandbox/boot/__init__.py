"""What runs inside the sandbox: standard library only, started by path, importing nothing else of haneul."""
