"""One module or folder per service; each offers SERVICE, a table of its operations."""
