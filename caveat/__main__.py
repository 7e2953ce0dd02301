"""Lets ``python -m caveat`` be the command ``caveat``."""

from caveat.commands import main

raise SystemExit(main())
