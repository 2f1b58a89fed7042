"""The receiving side: admits sealed batches, keeps them, accounts for them, shows them."""
