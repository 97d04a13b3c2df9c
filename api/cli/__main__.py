"""``python -m api.cli``: the command line without its entry point."""

from api.cli import app

if __name__ == "__main__":  # service processes of its own import it as well
    app()
