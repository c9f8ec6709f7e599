"""The shop's project and only app."""
