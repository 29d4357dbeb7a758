"""haneul: a serverless cloud that anyone can run. Read app.py first."""

__version__ = "0.1.0"
