"""`python -m gd2po`: the command line, for where no script `gd2po` is on the path."""

from gd2po.cli import main

if __name__ == "__main__":
    main()
