"""`python -m evalkit`, the same as the command `evalkit`."""

from evalkit.cli.main import main

main()
