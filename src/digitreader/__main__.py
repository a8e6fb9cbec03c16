"""`python -m digitreader` is the command line."""

from digitreader.doors.cli import main

if __name__ == "__main__":
    main()
