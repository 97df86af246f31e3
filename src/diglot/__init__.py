"""diglot: align a vision encoder with a language model, and show how well they are aligned."""

__version__ = "0.2.0"
