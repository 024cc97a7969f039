"""The madvet command."""
