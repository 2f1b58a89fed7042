"""Asks every unit of every bus on time and gives readings and state changes."""
