"""`python -m twostage.evaluate --run RUN`: measures a finished run. What it does:
evaluation.py.
"""

if __name__ == "__main__":
    from twostage import cli

    cli.evaluate()
