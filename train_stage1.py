from twostage import cli

if __name__ == "__main__":
    cli.stage1()
