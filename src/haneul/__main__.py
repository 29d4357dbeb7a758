"""`python -m haneul` is `haneul`."""

from haneul.cli.main import main

main()
