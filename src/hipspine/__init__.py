"""hipspine: what every joint bears while a person moves, and why."""

__version__ = "0.1.0.dev0"
