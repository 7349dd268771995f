"""Builders that many test files share."""
