"""`python -m lintas`: the same command under a name that needs no installed script."""

from lintas.cli import main

if __name__ == "__main__":
    main()
