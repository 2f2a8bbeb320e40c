from twostage import cli

cli.data()
