"""`python -m twostage COMMAND`."""

from twostage.cli.main import main

main()
