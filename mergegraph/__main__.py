"""`python -m mergegraph`: the command line."""

from mergegraph.cli import main

main()
