"""What happens to an arriving message: receive, admit, store, answer."""
