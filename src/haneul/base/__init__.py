"""The lowest floor: time, errors, names, limits and settings; standard library and msgspec only."""
