"""`python -m imgclf`: the command line."""

from imgclf.cli.main import run

if __name__ == "__main__":
    run()
